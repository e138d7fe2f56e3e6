package httpmap_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	ourimap "github.com/posthouse-mail/posthouse/imap"
	"github.com/posthouse-mail/posthouse/internal/realtest"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/mapping/httpmap"
	"github.com/posthouse-mail/posthouse/storage/memory"
)

// site is an nginx in front of an IMAP server, with a Handler that tells where
// users live. Its map can be down.
type site struct {
	nginx *realtest.Nginx
	down  atomic.Bool
}

const password = "a 100% \"quoted\" secret"

// alice is who has a password, here and at the back end.
var alice = auth.AuthenticatorFunc(func(_ context.Context, c auth.Credentials) (auth.Identity, error) {
	if auth.NormalName(c.User) != "alice@example.test" || c.Password != password {
		return auth.Identity{}, auth.ErrBadCredentials
	}
	return auth.Identity{User: "alice@example.test"}, nil
})

func startSite(t *testing.T, check auth.Authenticator) *site {
	realtest.RequireNginx(t)
	s := new(site)
	backend := serveIMAP(t)
	m, err := mapping.ReadTable(strings.NewReader(fmt.Sprintf("alice@example.test localhost:%d\n", backend)))
	require.NoError(t, err)
	h := httptest.NewServer(httpmap.NewHandler(httpmap.HandlerOptions{
		Auth: check, Key: "secret_string", Trusted: netip.Addr.IsLoopback, Logger: slog.New(slog.DiscardHandler),
		Mapper: mapping.MapperFunc(func(ctx context.Context, user string) (mapping.Route, error) {
			if s.down.Load() {
				return mapping.Route{}, errors.New("connection refused")
			}
			return m.Map(ctx, user)
		}),
	}))
	t.Cleanup(h.Close)
	s.nginx, err = realtest.StartNginx(t.Context(), h.URL+"/auth", "secret_string")
	require.NoError(t, err)
	t.Cleanup(s.nginx.Stop)
	return s
}

// serveIMAP starts a back end and returns its port.
func serveIMAP(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &ourimap.Server{Store: memory.New(), Auth: alice, PlainAuth: netip.Addr.IsLoopback, Logger: slog.New(slog.DiscardHandler)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(context.WithoutCancel(t.Context()), l) }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-served, ourimap.ErrServerClosed)
	})
	return l.Addr().(*net.TCPAddr).Port
}

func dial(t *testing.T, port int) net.Conn {
	nc, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	require.NoError(t, err)
	require.NoError(t, nc.SetDeadline(time.Now().Add(time.Minute)))
	t.Cleanup(func() { nc.Close() })
	return nc
}

// client connects to nginx.
func (s *site) client(t *testing.T) *imapclient.Client {
	c := imapclient.New(dial(t, s.nginx.IMAP), nil)
	t.Cleanup(func() { c.Close() })
	return c
}

// requireNo requires that an error is a NO with a code.
func requireNo(t *testing.T, code imap.ResponseCode, err error) {
	t.Helper()
	no, ok := errors.AsType[*imap.Error](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, imap.StatusResponseTypeNo, no.Type)
	require.Equal(t, code, no.Code)
}

func TestNginxAsksUsWhereUsersLive(t *testing.T) {
	for name, check := range map[string]auth.Authenticator{"passwords are checked here": alice, "passwords are checked by the back end": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startSite(t, check)
			c := s.client(t)
			require.NoError(t, c.Login("Alice@Example.Test", password).Wait())
			box, err := c.Select("INBOX", nil).Wait()
			require.NoError(t, err)
			require.NotZero(t, box.UIDValidity)
			require.NoError(t, c.Logout().Wait())

			// nginx waits before it says no: let both wait at the same time.
			wrong := s.client(t).Login("alice@example.test", "wrong")
			unknown := s.client(t).Login("mallory@example.test", password)
			requireNo(t, imap.ResponseCodeAuthenticationFailed, wrong.Wait())
			requireNo(t, imap.ResponseCodeAuthenticationFailed, unknown.Wait())

			s.down.Store(true)
			requireNo(t, imap.ResponseCodeUnavailable, s.client(t).Login("alice@example.test", password).Wait())
		})
	}
}

func TestNginxAsksUsAboutRecipients(t *testing.T) {
	t.Parallel()
	s := startSite(t, alice)
	nc := dial(t, s.nginx.SMTP)
	lines := bufio.NewReader(nc)
	say := func(command string) string {
		if command != "" {
			_, err := io.WriteString(nc, command+"\r\n")
			require.NoError(t, err)
		}
		for {
			line, err := lines.ReadString('\n')
			require.NoError(t, err)
			if line[3] != '-' {
				return line
			}
		}
	}
	require.Contains(t, say(""), "220 ")
	require.Contains(t, say("HELO client.example.test"), "250 ")
	require.Contains(t, say("MAIL FROM:<a@example.org>"), "250 ")
	require.Equal(t, "550 5.1.1 No such user here\r\n", say("RCPT TO:<mallory@example.test>"))
	s.down.Store(true)
	require.Contains(t, say("HELO client.example.test"), "250 ")
	require.Contains(t, say("MAIL FROM:<a@example.org>"), "250 ")
	require.Equal(t, "451 4.3.0 Temporary failure, please try again later\r\n", say("RCPT TO:<alice@example.test>"))
}

func TestNginxGivesUsersOfPOP3OurTexts(t *testing.T) {
	t.Parallel()
	s := startSite(t, alice)
	nc := dial(t, s.nginx.POP3)
	lines := bufio.NewReader(nc)
	say := func(command string) string {
		_, err := io.WriteString(nc, command)
		require.NoError(t, err)
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		return line
	}
	require.Contains(t, say(""), "+OK")
	require.Contains(t, say("USER alice@example.test\r\n"), "+OK")
	require.Equal(t, "-ERR [AUTH] Authentication failed\r\n", say("PASS wrong\r\n"))
}
