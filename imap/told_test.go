package imap

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
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

// TestFrontDialogues plays what a front end says.
func TestFrontDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/front/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			_, addr := newServer(t, func(s *Server) {
				s.Fronts, s.ID = netip.Addr.IsLoopback, map[string]string{"name": "Posthouse"}
			})
			conn, err := net.Dial("tcp", addr)
			require.NoError(t, err)
			text, err := os.ReadFile(f)
			require.NoError(t, err)
			dialogue.Play(t, conn, f, string(text))
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
			return checkPassword(ctx, c)
		})
	}
}

// TestP27SessionsHaveTheFrontEndsName in the log, with both addresses.
func TestP27SessionsHaveTheFrontEndsName(t *testing.T) {
	log, shown := &logBuffer{}, make(chan auth.Credentials, 9)
	_, addr := newServer(t, watching(log, shown))
	c := dial(t, addr)
	c.ok(`ID ("x-originating-ip" "192.0.2.7" "x-originating-port" "4711" "x-session-id" "f00" "x-proxy-ttl" "7")`)
	c.fails("LOGIN alice wrong", "NO")
	c.ok("LOGIN alice secret")
	require.Equal(t, "192.0.2.7", (<-shown).Remote.String())
	require.Regexp(t, `msg="authentication failed" service=imap remote=192.0.2.7 user=alice session=f00 reason=.* front=127.0.0.1\n`, log.String())
	require.Regexp(t, `msg=authenticated service=imap remote=192.0.2.7 user=alice session=f00 front=127.0.0.1\n`, log.String())
	require.Regexp(t, `msg="front end tells of a client" session=f00 remote=192.0.2.7 was=\w+ front=127.0.0.1\n`, log.String())
}

func TestFrontEndThatTellsNothingIsItsOwnClient(t *testing.T) {
	log, shown := &logBuffer{}, make(chan auth.Credentials, 9)
	_, addr := newServer(t, watching(log, shown))
	c := dial(t, addr)
	c.ok(`ID ("name" "a client" "x-forward-a" "b")`)
	c.ok("LOGIN alice secret")
	require.True(t, (<-shown).Remote.IsLoopback(), "which a Throttle may trust")
}

func TestX02IdentityInTheIDOfStrangersIsIgnored(t *testing.T) {
	log, shown := &logBuffer{}, make(chan auth.Credentials, 9)
	_, addr := newServer(t, func(s *Server) {
		watching(log, shown)(s)
		s.Fronts = func(netip.Addr) bool { return false }
	})
	c := dial(t, addr)
	for range 3 {
		require.Equal(t, "* ID NIL\r\n", c.ok(`ID ("x-originating-ip" "192.0.2.7" "x-session-id" "stolen" "x-proxy-ttl" "1")`))
	}
	c.ok("LOGIN alice secret")
	require.True(t, (<-shown).Remote.IsLoopback())
	require.Equal(t, 1, strings.Count(log.String(), "identity of a client is ignored"), "logged once")
	require.NotContains(t, log.String(), "192.0.2.7")
	require.NotContains(t, log.String(), "stolen")
}

// TestX02ClientsBehindAFrontEndCannotTellWhoTheyAre: after a login their words
// come from the front end's address. Nor does UNAUTHENTICATE make it a session
// before login again, in which somebody else could log in past the front end.
func TestX02ClientsBehindAFrontEndCannotTellWhoTheyAre(t *testing.T) {
	log, shown := &logBuffer{}, make(chan auth.Credentials, 9)
	_, addr := newServer(t, watching(log, shown))
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	dialogue.Play(t, conn, t.Name(), `S~ \* OK .*
C: a ID ("x-originating-ip" "192.0.2.7" "x-session-id" "f00")
S: * ID NIL
S: a OK ID completed
C: b LOGIN alice secret
S~ b OK .*
C: c UNAUTHENTICATE
S: c NO [CANNOT] Not through a front end: connect anew
C: d ID ("x-originating-ip" "192.0.2.8" "x-session-id" "stolen")
S: * ID NIL
S: d OK ID completed
C: e STARTTLS
S~ e BAD .*
C: g LOGIN bob hunter2
S~ g BAD .*
C: h LOGOUT
S~ \* BYE .*
S~ h OK .*
EOF
`)
	require.Equal(t, "192.0.2.7", (<-shown).Remote.String())
	require.Empty(t, shown)
	require.NotContains(t, log.String(), "user=bob")
	require.NotContains(t, log.String(), "stolen")
}

func TestWhatIsToldBeforeSTARTTLSIsForgotten(t *testing.T) {
	log, shown := &logBuffer{}, make(chan auth.Credentials, 9)
	_, addr := newServer(t, watching(log, shown))
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	dialogue.Play(t, conn, t.Name(), `S~ \* OK .*
C: a ID ("x-originating-ip" "192.0.2.7" "x-session-id" "f00")
S: * ID NIL
S: a OK ID completed
C: b STARTTLS
S~ b OK .*
TLS
C: c LOGIN alice secret
S~ c OK .*
`)
	require.True(t, (<-shown).Remote.IsLoopback())
	require.NotRegexp(t, `msg=authenticated .* session=f00`, log.String())
}

// TestP26StrangersSeeNothingOfFrontEnds compares what a server that trusts
// front ends says to others, and to front ends, with what one says that trusts
// none. Only UNAUTHENTICATE is not for who comes through one.
func TestP26StrangersSeeNothingOfFrontEnds(t *testing.T) {
	said := func(fronts func(netip.Addr) bool) string {
		_, addr := newServer(t, func(s *Server) { s.Fronts = fronts })
		conn, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, "a CAPABILITY\r\nb ID (\"x-originating-ip\" \"192.0.2.7\")\r\nc LOGIN alice secret\r\nd CAPABILITY\r\ne LOGOUT\r\n")
		require.NoError(t, err)
		all, err := io.ReadAll(conn)
		require.NoError(t, err)
		return string(all)
	}
	none := said(nil)
	require.Equal(t, none, said(func(netip.Addr) bool { return false }))
	require.Equal(t, strings.ReplaceAll(none, " UNAUTHENTICATE", ""), said(netip.Addr.IsLoopback))
}

// TestThrottleIsKeyedByTheClientBehindAFrontEnd: who guesses through a front end
// is held up, and the others behind it are not.
func TestThrottleIsKeyedByTheClientBehindAFrontEnd(t *testing.T) {
	_, addr := newServer(t, func(s *Server) {
		s.Fronts = netip.Addr.IsLoopback
		s.Auth = auth.NewThrottle(s.Auth, auth.ThrottleOptions{NetworkFailures: 1, UserFailures: 100, Delay: time.Hour, Longest: time.Hour})
	})
	try := func(from, login, answer string) {
		t.Helper()
		c := dial(t, addr)
		c.ok(fmt.Sprintf(`ID ("x-originating-ip" %q)`, from))
		c.fails("LOGIN "+login, answer)
	}
	try("192.0.2.7", "bob wrong", "NO [AUTHENTICATIONFAILED]")
	try("192.0.2.7", "alice secret", "NO [LIMIT]")
	try("192.0.2.8", "alice secret", "OK")
}

func FuzzIDOfAFrontEnd(f *testing.F) {
	for _, seed := range []string{
		` ("x-originating-ip" "192.0.2.7" "x-session-id" "a")`, ` ("x-connected-ip" "IPV6:::1" "x-proxy-ttl" "7" "X-Originating-Port" NIL)`, ` NIL`, ` ("x-originating-ip" "::1"`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		p := &parser{buf: line}
		r := parseID(p).(*idRequest)
		if p.end() != nil {
			return
		}
		require.LessOrEqual(t, len(r.fields), maxIDFields)
		here := netip.MustParseAddrPort("10.0.0.1:143")
		told := front.Told{Front: here}
		if takeFields(&told, r.fields) != nil {
			return
		}
		require.Equal(t, here, told.Front)
		require.False(t, strings.ContainsFunc(told.Session, func(r rune) bool { return r <= ' ' || r > '~' }))
		require.LessOrEqual(t, len(told.Session), 64)
		require.False(t, told.Remote.Addr().Is4In6() || told.Remote.Addr().IsLoopback() || told.Remote.Addr().Zone() != "")
		require.True(t, told.Hops == 0 || told.Hops > 1)
	})
}
