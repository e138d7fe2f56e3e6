package pop3

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/testcert"
)

func TestLoginNeedsTLSWherePlainIsNotAllowed(t *testing.T) {
	s := startWith(t, func(s *Server) { s.PlainAuth = nil })
	c := s.dial(t)
	for _, command := range []string{"USER alice", "PASS pw", "AUTH PLAIN AGFsaWNlAHB3", "AUTH"} {
		require.Equal(t, "-ERR A secure connection is required to log in", c.ask(command))
	}
	c.ok("CAPA")
	capabilities := c.content()
	require.NotContains(t, capabilities, "USER")
	require.NotContains(t, capabilities, "SASL")
	require.Contains(t, capabilities, "STLS")
}

func TestPlainAuthAsksForTheClientsAddress(t *testing.T) {
	s := startWith(t, func(s *Server) { s.PlainAuth = netip.Addr.IsLoopback })
	s.login(t)
}

func TestStlsDropsPlainTextThatCameEarly(t *testing.T) {
	s := start(t)
	c := s.dial(t)
	require.Equal(t, "-ERR Input before the TLS handshake", c.ask("STLS\r\nUSER evil"))
	_, err := c.r.ReadByte()
	require.Error(t, err)
}

func TestTLSFromTheFirstOctet(t *testing.T) {
	s := start(t, threeMessages...)
	l, err := tls.Listen("tcp", "127.0.0.1:0", testcert.Server())
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Serve(context.Background(), l) }()
	nc, err := tls.Dial("tcp", l.Addr().String(), testcert.Client())
	require.NoError(t, err)
	defer nc.Close()
	_, err = io.WriteString(nc, "CAPA\r\nQUIT\r\n")
	require.NoError(t, err)
	said, _ := io.ReadAll(nc)
	require.Contains(t, string(said), "SASL PLAIN LOGIN\r\n")
	require.NotContains(t, string(said), "STLS")
	require.NoError(t, s.Close())
	require.ErrorIs(t, <-done, ErrServerClosed)
}

func TestFailedLoginsEndTheSession(t *testing.T) {
	s := startWith(t, func(s *Server) { s.Limits.AuthFailures = 3 })
	c := s.dial(t)
	for range 2 {
		c.ok("USER alice")
		require.Equal(t, "-ERR [AUTH] Authentication failed", c.ask("PASS wrong"))
	}
	c.ok("USER nobody")
	require.Equal(t, "-ERR [AUTH] Authentication failed", c.ask("PASS wrong"))
	_, err := c.r.ReadByte()
	require.ErrorIs(t, err, io.EOF)
}

func TestA14FailuresOfALoginLookAsTheyShould(t *testing.T) {
	const later = "please try again later"
	for want, err := range map[string]error{
		"[AUTH] Authentication failed":                  auth.ErrBadCredentials,
		"[SYS/TEMP] Too many failed attempts, " + later: auth.ErrTooMany,
		"[SYS/TEMP] Temporary failure, " + later:        io.EOF, // of a directory's connection, say
		"A secure connection is required to log in":     auth.ErrNeedsTLS,
	} {
		s := startWith(t, func(s *Server) {
			s.Auth = auth.AuthenticatorFunc(func(context.Context, auth.Credentials) (auth.Identity, error) { return auth.Identity{}, err })
		})
		c := s.dial(t)
		c.ok("USER alice")
		require.Equal(t, "-ERR "+want, c.ask("PASS pw"))
		require.Equal(t, "-ERR "+want, c.ask("AUTH PLAIN AGFsaWNlAHB3"))
	}
}

func TestA05BrokenDirectoryIsATemporaryFailure(t *testing.T) {
	s := startWith(t, func(s *Server) {
		s.Auth = auth.AuthenticatorFunc(func(context.Context, auth.Credentials) (auth.Identity, error) {
			return auth.Identity{}, errors.Join(auth.ErrUnavailable, io.EOF)
		})
	})
	c := s.dial(t)
	require.Regexp(t, `^-ERR \[SYS/TEMP\] `, c.ask("AUTH PLAIN AGFsaWNlAHB3"))
	require.Regexp(t, `^-ERR \[SYS/TEMP\] `, c.ask("AUTH PLAIN AGFsaWNlAHB3"), "the session goes on")
}

func TestPasswordsMayHoldSpaces(t *testing.T) {
	s := startWith(t, func(s *Server) {
		s.Auth = auth.AuthenticatorFunc(func(_ context.Context, c auth.Credentials) (auth.Identity, error) {
			require.Equal(t, " a  b ", c.Password)
			require.Equal(t, "pop3", c.Service)
			require.False(t, c.Secure)
			return auth.Identity{User: c.User}, nil
		})
	})
	c := s.dial(t)
	c.ok("USER alice")
	c.ok("PASS  a  b ")
}

func TestClientThatLeavesInTheMiddleOfAnExchange(t *testing.T) {
	s := start(t)
	c := s.dial(t)
	require.Equal(t, "+ ", c.ask("AUTH PLAIN"))
	c.Close()
	s.ended(t)
}

func TestGreetingExpandsHostAndDate(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	s := &Server{Hostname: "mail.example.test", Greeting: "POP3 on %D, ready %U\r\n-ERR"}
	require.Equal(t, "POP3 on mail.example.test, ready Mon, 23 Nov 2026 12:00:00 +0000  -ERR", s.gate().greet(now))
	s.Greeting = strings.Repeat("%D", 1000)
	require.Len(t, s.gate().greet(now), maxGreeting)
	require.Equal(t, "mail.example.test POP3 server ready", (&Server{Hostname: "mail.example.test"}).gate().greet(now))
	require.Regexp(t, `^[!-~]+ POP3 server ready$`, (&Server{}).gate().greet(now))
}

func TestBadCommandsEndTheSession(t *testing.T) {
	s := start(t)
	c := s.dial(t)
	for range 20 {
		require.Regexp(t, "^-ERR ", c.ask("HELP"))
	}
	_, err := c.r.ReadByte()
	require.ErrorIs(t, err, io.EOF)
}

func TestLineWithoutEndIsRefusedAtTheLimit(t *testing.T) {
	for _, start := range []string{"", "USER ", "AUTH PLAIN\r\n"} {
		s := startWith(t, func(*Server) {})
		c := s.dial(t)
		go func() { _, _ = io.WriteString(c, start+strings.Repeat("x", 100<<10)+"\r\nUSER alice\r\n") }()
		line := c.line()
		if strings.HasPrefix(start, "AUTH") {
			line = c.line()
		}
		require.Equal(t, "-ERR Line too long", line)
		rest, _ := io.ReadAll(c.r)
		require.Empty(t, rest, "nothing of it runs")
	}
}

func TestPipelinedCommandsAreAnsweredInOrder(t *testing.T) {
	s := start(t, threeMessages...)
	c := s.dial(t)
	require.Equal(t, "+OK Send PASS", c.ask("USER alice\r\nPASS pw\r\nSTAT\r\nRETR 2\r\nDELE 2\r\nQUIT"))
	require.Regexp(t, `^\+OK Maildrop`, c.line())
	require.Equal(t, "+OK 3 121", c.line())
	require.Equal(t, "+OK 39 octets", c.line())
	require.Equal(t, threeMessages[1], c.content())
	require.Equal(t, "+OK Message 2 is deleted", c.line())
	require.Equal(t, "+OK Goodbye", c.line())
	require.Equal(t, 2, s.count(t))
}

func TestServeOfAStoppedServerIsRefused(t *testing.T) {
	s := start(t)
	require.NoError(t, s.Shutdown(context.Background()))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.ErrorIs(t, s.Serve(context.Background(), l), ErrServerClosed)
	require.Zero(t, s.Sessions())
}

func TestServerWithoutAStoreDoesNotServe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.ErrorIs(t, (&Server{}).Serve(context.Background(), l), errIncomplete)
	_, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}
