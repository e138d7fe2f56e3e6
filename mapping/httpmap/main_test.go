package httpmap

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/mapping"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	quiet = slog.New(slog.DiscardHandler)
	down  = mapping.MapperFunc(func(context.Context, string) (mapping.Route, error) {
		return mapping.Route{}, errors.New("connection refused")
	})
	noLogins = auth.AuthenticatorFunc(func(context.Context, auth.Credentials) (auth.Identity, error) {
		return auth.Identity{}, errors.New("connection refused")
	})
)

func table(t testing.TB, text string) *mapping.Table {
	t.Helper()
	m, err := mapping.ReadTable(strings.NewReader(text))
	require.NoError(t, err)
	return m
}

// house knows alice, bob, and carol who is disabled.
var house = auth.AuthenticatorFunc(func(_ context.Context, c auth.Credentials) (auth.Identity, error) {
	known := c.User == "alice" || c.User == "bob" || c.User == "carol"
	switch {
	case !known || c.Password != c.User+"'s % secret":
		return auth.Identity{}, auth.ErrBadCredentials
	case c.User == "carol":
		return auth.Identity{}, auth.ErrDisabled
	}
	return auth.Identity{User: c.User}, nil
})

// serve starts a web server and returns its URL.
func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL + "/auth"
}

func client(t testing.TB, url string, o Options) *Client {
	t.Helper()
	c, err := New(url, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// nowhere is the URL of a port where nobody listens.
func nowhere(t testing.TB) string {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	return s.URL
}

// answers is a server that gives fixed header fields.
func answers(code int, fields ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for _, f := range fields {
			name, value, _ := strings.Cut(f, ": ")
			w.Header().Add(name, value)
		}
		w.WriteHeader(code)
	})
}

func handler(o HandlerOptions) *Handler {
	if o.Trusted == nil && o.Key == "" {
		o.Trusted = netip.Addr.IsLoopback
	}
	if o.Logger == nil {
		o.Logger = quiet
	}
	return NewHandler(o)
}
