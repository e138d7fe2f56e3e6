package httpmap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/mapping"
)

// Options adjust a Client. A zero field means its default.
type Options struct {
	Protocol    string        // "imap", "pop3" or "smtp", for questions that come with none: those of a Mapper; default "imap"
	Key         string        `json:"-"` // X-Auth-Key, by which the server knows its askers; empty: none is sent
	Timeout     time.Duration // of a question; default 4 seconds
	Connections int           // to the server at most, kept alive; questions beyond wait for one. Default 32
	TLS         *tls.Config   // of https; nil: the system's roots
}

// Client asks a server. It is a Mapper and an Authenticator.
//
// As a Mapper it asks with the method "none", which a server must serve for
// this: nginx itself has it for recipients only. As an Authenticator it asks
// with "plain"; the server's Auth-Wait is not waited for, since
// auth.Throttle slows guessing down.
//
// Routes come from others: put a mapping.Checked before it, and a
// mapping.Cache and an auth.Cache as it must bear the load.
type Client struct {
	url  string
	o    Options
	http *http.Client
}

var (
	_ mapping.Mapper     = (*Client)(nil)
	_ auth.Authenticator = (*Client)(nil)
)

// New returns a Client for an http or https URL. Close it.
func New(server string, o Options) (*Client, error) {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, errors.New("httpmap: not the URL of a web server") // it may hold a password
	}
	if o.Protocol == "" {
		o.Protocol = "imap"
	}
	if o.Timeout == 0 {
		o.Timeout = 4 * time.Second
	}
	if o.Connections == 0 {
		o.Connections = 32
	}
	return &Client{url: server, o: o, http: &http.Client{
		Timeout: o.Timeout,
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: o.Timeout}).DialContext,
			TLSClientConfig:        o.TLS,
			MaxConnsPerHost:        o.Connections,
			MaxIdleConnsPerHost:    o.Connections,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: maxHeader,
			DisableCompression:     true,
		},
		// Credentials go to the server that was named, and nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Close closes the connections that nobody uses.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Map asks where a user lives. A permanent no is ErrNotMapped. An Auth-User in
// the answer is the user's name at the back end; an Auth-Pass is not used.
func (c *Client) Map(ctx context.Context, user string) (mapping.Route, error) {
	name, ok := mapping.NormalName(user)
	if !ok {
		return mapping.Route{}, mapping.ErrNotMapped
	}
	q := c.question(methodNone, c.o.Protocol, name)
	if a, err := mail.ParseAddress(user); err == nil && c.o.Protocol == "smtp" {
		q[fieldSMTPTo] = []string{"RCPT TO:<" + a.String() + ">"}
	}
	a, err := c.ask(ctx, q)
	if err != nil {
		return mapping.Route{}, fmt.Errorf("%w: %w", mapping.ErrUnavailable, err)
	}
	if !a.yes {
		return mapping.Route{}, fmt.Errorf("%w: the server says %q", mapping.ErrNotMapped, a.status)
	}
	route, err := a.route(name)
	if err != nil {
		return mapping.Route{}, fmt.Errorf("%w: %w", mapping.ErrUnavailable, err)
	}
	return route, nil
}

// Authenticate asks about a password. The user is asked for by
// auth.NormalName, and that is who he is then, unless the answer has another
// name in Auth-User. Nobody acts for somebody else.
func (c *Client) Authenticate(ctx context.Context, creds auth.Credentials) (auth.Identity, error) {
	if creds.Proof != nil || len(creds.AuthzID) > maxName {
		return auth.Identity{}, auth.ErrBadCredentials
	}
	if creds.Password == "" || len(creds.Password) > maxPassword || strings.IndexByte(creds.Password, 0) >= 0 {
		return auth.Identity{}, auth.ErrBadCredentials
	}
	if _, ok := mapping.NormalName(creds.User); !ok {
		return auth.Identity{}, auth.ErrBadCredentials
	}
	name := auth.NormalName(creds.User)
	if creds.AuthzID != "" && auth.NormalName(creds.AuthzID) != name {
		return auth.Identity{}, auth.ErrBadCredentials
	}
	q := c.question(methodPlain, c.protocol(creds.Service), name)
	q[fieldPass] = []string{escape(creds.Password)}
	if creds.Remote.IsValid() {
		q[fieldClientIP] = []string{creds.Remote.WithZone("").String()}
	}
	if creds.Secure {
		q[fieldSSL] = []string{"on"}
	}
	a, err := c.ask(ctx, q)
	switch {
	case err != nil:
		return auth.Identity{}, fmt.Errorf("%w: %w", auth.ErrUnavailable, err)
	case !a.yes:
		return auth.Identity{}, fmt.Errorf("%w: the server says %q", auth.ErrBadCredentials, a.status)
	case a.user != "":
		name = a.user
	}
	return auth.Identity{User: name}, nil
}

// protocol is what nginx calls a service.
func (c *Client) protocol(service string) string {
	switch service {
	case "imap", "pop3":
		return service
	case "smtp", "submission", "lmtp":
		return "smtp"
	}
	return c.o.Protocol
}

func (c *Client) question(method, protocol, user string) http.Header {
	q := http.Header{
		fieldMethod: {method}, fieldProtocol: {protocol}, fieldUser: {escape(user)}, fieldPass: {""}, fieldAttempt: {"1"},
	}
	if c.o.Key != "" {
		q[fieldKey] = []string{c.o.Key}
	}
	return q
}

// ask puts a question. Errors mean that there is no answer.
func (c *Client) ask(ctx context.Context, q http.Header) (*answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return nil, errors.New("the question can't be asked")
	}
	r.Header = q
	response, err := c.http.Do(r)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // without the URL, which may hold a password
		}
		return nil, err
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, maxHeader) // or the connection can't be used again
	return readAnswer(response)
}
