package oauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Bounds of what an issuer may answer, in octets.
const (
	maxAnswer = 512 << 10
	maxHeader = 64 << 10
)

// client asks an issuer.
type client struct {
	http    http.Client
	timeout time.Duration // of a whole request
	own     *http.Transport
}

// newClient returns a client. A nil transport means one with the system's
// roots and the environment's proxy.
func newClient(transport http.RoundTripper, timeout time.Duration) *client {
	c := &client{timeout: orDefault(timeout, 4*time.Second)}
	if transport == nil {
		c.own = &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
			MaxIdleConns: 8, MaxIdleConnsPerHost: 8, MaxConnsPerHost: 32, IdleConnTimeout: 30 * time.Second,
			TLSHandshakeTimeout: c.timeout, MaxResponseHeaderBytes: maxHeader,
		}
		transport = c.own
	}
	c.http = http.Client{Transport: transport, CheckRedirect: checkRedirect}
	return c
}

func (c *client) close() {
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
}

// checkRedirect lets a question be moved on its own host only, and never one
// that carries a token.
func checkRedirect(next *http.Request, before []*http.Request) error {
	first := before[0]
	if first.Method != http.MethodGet || next.URL.Scheme != first.URL.Scheme || next.URL.Host != first.URL.Host || len(before) > 3 {
		return errors.New("it redirects")
	}
	return nil
}

// get returns what is at a URL.
func (c *client) get(ctx context.Context, from string) ([]byte, error) {
	u, err := checkURL(from)
	if err != nil {
		return nil, err
	}
	status, text, err := c.do(ctx, &http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}})
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s answers with status %d", u, status)
	}
	return text, err
}

// post sends a form.
func (c *client) post(ctx context.Context, to *url.URL, form url.Values, header http.Header) (status int, text []byte, err error) {
	body := form.Encode()
	header = header.Clone()
	header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.do(ctx, &http.Request{
		Method: http.MethodPost, URL: to, Header: header,
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	})
}

// do sends a request and reads the whole answer, within the bounds.
func (c *client) do(ctx context.Context, r *http.Request) (status int, text []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	r.Header.Set("Accept", "application/json")
	answer, err := c.http.Do(r.WithContext(ctx))
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	text, err = io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err == nil && len(text) > maxAnswer {
		err = errors.New("the answer is too long")
	}
	return answer.StatusCode, text, err
}

// isLoopback reports whether a host is this one.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}
