package pop3

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/dialogue"
	"github.com/posthouse-mail/posthouse/internal/front"
)

// trusting makes loopback a front end.
func trusting(s *Server) { s.Fronts = netip.Addr.IsLoopback }

// TestFrontDialogues plays what a front end says.
func TestFrontDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/front/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			s := startWith(t, trusting, threeMessages...)
			nc, err := net.Dial("tcp", s.address)
			require.NoError(t, err)
			dialogue.Run(t, nc, f)
		})
	}
}

// logBuffer is a log that sessions write to.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// watching returns a change that makes a server keep the credentials that it is
// shown, and its log.
func watching(l *logBuffer, shown chan auth.Credentials) func(*Server) {
	return func(s *Server) {
		s.Fronts = netip.Addr.IsLoopback
		s.Logger = slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
		s.Auth = auth.AuthenticatorFunc(func(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
			shown <- c
			return users(ctx, c)
		})
	}
}

// TestP27SessionsHaveTheFrontEndsName in the log, with both addresses.
func TestP27SessionsHaveTheFrontEndsName(t *testing.T) {
	log, shown := &logBuffer{}, make(chan auth.Credentials, 9)
	s := startWith(t, watching(log, shown))
	c := s.dial(t)
	c.ok("XCLIENT ADDR=192.0.2.7 PORT=4711 SESSION=f00 TTL=7")
	c.ok("USER alice")
	require.Contains(t, c.ask("PASS wrong"), "-ERR [AUTH]")
	c.ok("USER alice")
	c.ok("PASS pw")
	c.ok("QUIT")
	require.Equal(t, "192.0.2.7", (<-shown).Remote.String())
	require.Regexp(t, `msg="authentication failed" service=pop3 remote=192.0.2.7 user=alice session=f00 reason=.* front=127.0.0.1\n`, log.String())
	for _, line := range []string{"logged in", "session ended"} {
		require.Regexp(t, `msg="`+line+`" session=f00 remote=192.0.2.7 .*front=127.0.0.1`, log.String())
	}
}

func TestFrontEndThatTellsNothingIsItsOwnClient(t *testing.T) {
	log, shown := &logBuffer{}, make(chan auth.Credentials, 9)
	s := startWith(t, watching(log, shown))
	s.login(t).ok("QUIT")
	require.True(t, (<-shown).Remote.IsLoopback(), "which a Throttle may trust")
}

func TestX02XclientOfStrangersIsNoCommand(t *testing.T) {
	log, shown := &logBuffer{}, make(chan auth.Credentials, 9)
	s := startWith(t, func(s *Server) {
		watching(log, shown)(s)
		s.Fronts = func(netip.Addr) bool { return false }
	})
	c := s.dial(t)
	for range 3 {
		require.Equal(t, "-ERR Unknown command", c.ask("XCLIENT ADDR=192.0.2.7 SESSION=stolen"))
	}
	c.ok("USER alice")
	c.ok("PASS pw")
	require.True(t, (<-shown).Remote.IsLoopback())
	require.Equal(t, 1, strings.Count(log.String(), "identity of a client is ignored"), "logged once")
	require.NotContains(t, log.String(), "192.0.2.7")
	require.NotContains(t, log.String(), "stolen")
}

// TestP26StrangersSeeNothingOfFrontEnds compares what a server that trusts
// front ends says to others with what one says that trusts none.
func TestP26StrangersSeeNothingOfFrontEnds(t *testing.T) {
	said := func(fronts func(netip.Addr) bool) string {
		s := startWith(t, func(s *Server) { s.Fronts = fronts })
		nc, err := net.Dial("tcp", s.address)
		require.NoError(t, err)
		defer nc.Close()
		_, err = io.WriteString(nc, "CAPA\r\nXCLIENT ADDR=192.0.2.7\r\nUSER alice\r\nPASS pw\r\nXCLIENT ADDR=192.0.2.7\r\nCAPA\r\nQUIT\r\n")
		require.NoError(t, err)
		all, err := io.ReadAll(nc)
		require.NoError(t, err)
		return string(all)
	}
	none := said(nil)
	require.Equal(t, none, said(func(netip.Addr) bool { return false }))
	require.NotContains(t, none, "XCLIENT")
}

func TestWhatIsToldBeforeSTLSIsForgotten(t *testing.T) {
	log, shown := &logBuffer{}, make(chan auth.Credentials, 9)
	s := startWith(t, watching(log, shown))
	nc, err := net.Dial("tcp", s.address)
	require.NoError(t, err)
	dialogue.Play(t, nc, t.Name(), `S~ \+OK .*
C: XCLIENT ADDR=192.0.2.7 SESSION=f00
S: +OK Updated
C: STLS
S: +OK Begin TLS negotiation
TLS
C: USER alice
S~ \+OK .*
C: PASS pw
S~ \+OK .*
C: QUIT
S~ \+OK .*
EOF
`)
	require.True(t, (<-shown).Remote.IsLoopback())
	require.NotRegexp(t, `msg="logged in" session=f00`, log.String())
}

// TestThrottleIsKeyedByTheClientBehindAFrontEnd: who guesses through a front end
// is held up, and the others behind it are not.
func TestThrottleIsKeyedByTheClientBehindAFrontEnd(t *testing.T) {
	s := startWith(t, func(s *Server) {
		trusting(s)
		s.Auth = auth.NewThrottle(s.Auth, auth.ThrottleOptions{NetworkFailures: 1, UserFailures: 100, Delay: time.Hour, Longest: time.Hour})
	})
	try := func(from, user, password, answer string) {
		t.Helper()
		c := s.dial(t)
		c.ok("XCLIENT ADDR=" + from)
		c.ok("USER " + user)
		require.Contains(t, c.ask("PASS "+password), answer)
	}
	try("192.0.2.7", "bob", "wrong", "-ERR [AUTH]")
	try("192.0.2.7", "alice", "pw", "-ERR [SYS/TEMP] Too many failed attempts")
	try("192.0.2.8", "alice", "pw", "+OK")
}

func FuzzXclient(f *testing.F) {
	for _, seed := range []string{"ADDR=192.0.2.7 PORT=110 SESSION=a+b TTL=7", "addr=IPV6:::1 FORWARD=a=", "LOGIN=a", "= =", "DESTADDR=[UNAVAILABLE] DESTPORT=0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, args string) {
		here := netip.MustParseAddrPort("10.0.0.1:110")
		told := front.Told{Front: here}
		if front.EachAttribute(args, told.Set) != nil {
			return
		}
		require.Equal(t, here, told.Front)
		require.False(t, strings.ContainsFunc(told.Session, func(r rune) bool { return r <= ' ' || r > '~' }))
		require.LessOrEqual(t, len(told.Session), 64)
		require.False(t, told.Remote.Addr().Is4In6() || told.Remote.Addr().IsLoopback() || told.Remote.Addr().Zone() != "")
		require.True(t, told.Hops == 0 || told.Hops > 1)
	})
}
