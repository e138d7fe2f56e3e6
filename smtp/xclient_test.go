package smtp

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/netip"
	"os"
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
	for dir, protocol := range map[string]Protocol{"testdata/front/": ESMTP, "testdata/frontlmtp/": LMTP} {
		files, err := os.ReadDir(dir)
		require.NoError(t, err)
		for _, f := range files {
			t.Run(f.Name(), func(t *testing.T) {
				s := newServer(&box{})
				s.Protocol, s.Fronts = protocol, netip.Addr.IsLoopback
				dialogue.Run(t, dial(t, start(t, s)), dir+f.Name())
			})
		}
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

// newLogger returns a log and what is written to it.
func newLogger() (*slog.Logger, *logBuffer) {
	l := &logBuffer{}
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug})), l
}

// fronted returns a client that is a front end, and the box behind the server.
func fronted(t *testing.T, change func(*Server)) (*client, *box) {
	b := &box{}
	s := newServer(b)
	s.Fronts = netip.Addr.IsLoopback
	if change != nil {
		change(s)
	}
	return connect(t, s), b
}

const smallMessage = "Subject: x\r\n\r\nx\r\n.\r\n"

func (c *client) sendOne() {
	c.t.Helper()
	c.ask("HELO front.example.test\r\n", "250 ")
	c.ask("MAIL FROM:<a@b.test>\r\n", "250 ")
	c.ask("RCPT TO:<c@d.test>\r\n", "250 ")
	c.ask("DATA\r\n", "354 ")
	c.ask(smallMessage, "250 ")
}

func TestHooksHandlerAndTraceSeeTheClientBehindAFrontEnd(t *testing.T) {
	var mu sync.Mutex
	var connected, closed []Session
	c, b := fronted(t, func(s *Server) {
		s.Hooks = append(s.Hooks, Hooks{
			Connect: func(_ context.Context, f *Session) error {
				mu.Lock()
				defer mu.Unlock()
				connected = append(connected, *f)
				return nil
			},
			Close: func(f *Session) {
				mu.Lock()
				defer mu.Unlock()
				closed = append(closed, *f)
			},
		})
	})
	c.ask("XCLIENT ADDR=IPV6:2001:db8::7 PORT=4711 DESTADDR=198.51.100.1 DESTPORT=25 HELO=client.example.test SESSION=f00\r\n", "220 ")
	c.sendOne()
	c.ask("QUIT\r\n", "221 ")
	got := b.only(t)
	require.Equal(t, netip.MustParseAddrPort("[2001:db8::7]:4711"), got.facts.Remote)
	require.Equal(t, netip.MustParseAddrPort("198.51.100.1:25"), got.facts.Local)
	require.Equal(t, "127.0.0.1", got.facts.Front.Addr().String())
	require.Equal(t, "client.example.test", got.facts.Helo, "not what the front end calls itself")
	require.Equal(t, "f00", got.facts.ID)
	require.Contains(t, string(got.Trace), "from client.example.test ([IPv6:2001:db8::7])\r\n")
	require.Eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return len(closed) == 2 }, 20*time.Second, time.Millisecond)
	require.Len(t, connected, 2, "to hooks it is another session")
	require.Equal(t, connected[0].ID, closed[0].ID)
	require.Equal(t, []string{"f00", "f00"}, []string{connected[1].ID, closed[1].ID})
	require.Equal(t, got.facts.Remote, connected[1].Remote)
}

// TestS19FrontEndThatTellsNothingIsNobody: its own address must not be taken
// for that of a client who is allowed something.
func TestS19FrontEndThatTellsNothingIsNobody(t *testing.T) {
	for _, told := range []string{"", "XCLIENT ADDR=[UNAVAILABLE] PORT=25\r\n", "XCLIENT SESSION=f00\r\n"} {
		c, b := fronted(t, nil)
		if told != "" {
			c.ask(told, "220 ")
		}
		c.sendOne()
		got := b.only(t)
		require.False(t, got.facts.Remote.Addr().IsValid())
		require.True(t, got.facts.Front.Addr().IsLoopback())
		require.Contains(t, string(got.Trace), "(unknown)\r\n")
	}
}

func TestX02XclientOfStrangersIsNoCommand(t *testing.T) {
	for name, fronts := range map[string]func(netip.Addr) bool{"nobody": nil, "others": func(netip.Addr) bool { return false }} {
		log, lines := newLogger()
		c, b := fronted(t, func(s *Server) { s.Fronts, s.Logger = fronts, log })
		c.ask("XCLIENT ADDR=192.0.2.7 SESSION=stolen\r\n", "500 5.5.1 Unknown command")
		c.sendOne()
		require.True(t, b.only(t).facts.Remote.Addr().IsLoopback(), name)
		require.Contains(t, lines.String(), `command=XCLIENT code=500 reply="Unknown command" reason="not from a trusted front end"`)
		require.NotContains(t, lines.String(), "192.0.2.7")
		require.NotContains(t, lines.String(), "stolen")
	}
}

// TestP26StrangersSeeNothingOfFrontEnds compares what a server that trusts
// front ends says to others with what one says that trusts none.
func TestP26StrangersSeeNothingOfFrontEnds(t *testing.T) {
	said := func(fronts func(netip.Addr) bool) string {
		s := newServer(&box{})
		s.Fronts = fronts
		nc := dial(t, start(t, s))
		_, err := io.WriteString(nc, "EHLO x\r\nXCLIENT ADDR=192.0.2.7\r\nHELP\r\nQUIT\r\n")
		require.NoError(t, err)
		all, err := io.ReadAll(nc)
		require.NoError(t, err)
		return string(all)
	}
	none := said(nil)
	require.Equal(t, none, said(func(netip.Addr) bool { return false }))
	require.NotContains(t, none, "XCLIENT ")
}

func TestX03NobodyIsLoggedInByAFrontEndsWord(t *testing.T) {
	c, b := fronted(t, nil)
	c.ask("XCLIENT ADDR=192.0.2.7 LOGIN=alice@example.test\r\n", "501 ")
	c.sendOne()
	require.Empty(t, b.only(t).facts.User)
	require.False(t, b.only(t).facts.Remote.Addr().IsValid(), "nothing of it is taken")
}

func TestS28HostileValuesReachNoHeaderAndNoLog(t *testing.T) {
	log, lines := newLogger()
	c, b := fronted(t, func(s *Server) { s.Logger = log })
	c.ask("XCLIENT ADDR=192.0.2.7 HELO=a+22+3B+0D+0AX-Evil:+20yes\r\n", "501 ")
	c.ask("XCLIENT ADDR=192.0.2.7 HELO=+1B[31m%25\"x\r\n", "501 ")
	c.ask("XCLIENT ADDR=192.0.2.7 HELO=%25\"(x)\r\n", "220 ")
	c.sendOne()
	require.Contains(t, string(b.only(t).Trace), "Received: from ?25??x? ([192.0.2.7])\r\n")
	for _, hidden := range []string{"Evil", "\x1b", "[31m"} {
		require.NotContains(t, lines.String(), hidden)
	}
}

// TestP27SessionsHaveTheFrontEndsName in the log, with both addresses.
func TestP27SessionsHaveTheFrontEndsName(t *testing.T) {
	log, lines := newLogger()
	c, _ := fronted(t, func(s *Server) { s.Logger = log })
	c.ask("XCLIENT ADDR=192.0.2.7 SESSION=f00\r\n", "220 ")
	c.ask("HELO x\r\n", "250 ")
	c.ask("AUTH PLAIN AGFsaWNlAHdyb25n\r\n", "535 ")
	c.ask("AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n", "235 ")
	c.sendOne()
	require.Regexp(t, `msg="authentication failed" service=smtp remote=192.0.2.7 user=alice session=f00 reason=.* front=127.0.0.1\n`, lines.String())
	require.Regexp(t, `msg=authenticated service=smtp remote=192.0.2.7 .* session=f00 front=127.0.0.1\n`, lines.String())
	require.Regexp(t, `msg="front end tells of a client" session=f00 remote=192.0.2.7 was=\w+ front=127.0.0.1\n`, lines.String())
	require.Eventually(t, func() bool { return strings.Contains(lines.String(), "message accepted") }, 20*time.Second, time.Millisecond)
	require.Regexp(t, `msg="message accepted" session=f00 .* remote=192.0.2.7 .* front=127.0.0.1\n`, lines.String())
}

func TestConnectHookRefusesTheClientBehindAFrontEnd(t *testing.T) {
	c, _ := fronted(t, func(s *Server) {
		s.Hooks = append(s.Hooks, Hooks{Connect: func(_ context.Context, f *Session) error {
			if f.Remote.Addr() == netip.MustParseAddr("192.0.2.7") {
				return reply(554, 5, 7, 1, "Go away")
			}
			return nil
		}})
	})
	c.ask("XCLIENT ADDR=192.0.2.8\r\n", "220 ")
	c.ask("XCLIENT ADDR=192.0.2.7\r\n", "554 5.7.1 Go away")
	c.closed()
}

// TestThrottleIsKeyedByTheClientBehindAFrontEnd: who guesses through a front end
// is held up, and the others behind it are not.
func TestThrottleIsKeyedByTheClientBehindAFrontEnd(t *testing.T) {
	throttle := auth.NewThrottle(alice, auth.ThrottleOptions{NetworkFailures: 1, UserFailures: 100, Delay: time.Hour, Longest: time.Hour})
	s := newServer(&box{})
	s.Fronts, s.Auth = netip.Addr.IsLoopback, throttle
	address := start(t, s)
	try := func(from, user, answer string) {
		t.Helper()
		c := hello(t, dial(t, address))
		c.ask("XCLIENT ADDR="+from+"\r\n", "220 ")
		c.ask("HELO x\r\n", "250 ")
		c.ask("AUTH PLAIN "+user+"\r\n", answer)
	}
	const wrong, right = "AGJvYgB3cm9uZw==", "AGFsaWNlAHNlY3JldA=="
	try("192.0.2.7", wrong, "535 ")
	try("192.0.2.7", right, "421 ")
	try("192.0.2.8", right, "235 ")
}

// TestPlainAuthIsAskedForTheFrontEnd, whose wire it is that passwords travel on.
func TestPlainAuthIsAskedForTheFrontEnd(t *testing.T) {
	asked := make(chan netip.Addr, 10)
	c, _ := fronted(t, func(s *Server) {
		s.PlainAuth = func(a netip.Addr) bool { asked <- a; return true }
	})
	c.ask("XCLIENT ADDR=192.0.2.7\r\n", "220 ")
	c.ask("HELO x\r\n", "250 ")
	c.ask("AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n", "235 ")
	require.True(t, (<-asked).IsLoopback())
}

func FuzzXclient(f *testing.F) {
	for _, seed := range []string{
		"ADDR=192.0.2.7 PORT=25 HELO=a.b NAME=[UNAVAILABLE]", "addr=IPV6:::ffff:192.0.2.7 TTL=7 SESSION=x+2B+41", "LOGIN=a", "DESTADDR=::1 DESTPORT=0", "PROTO=esmtp FORWARD=a=", "ADDR=+0A", "= =",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, args string) {
		here := netip.MustParseAddrPort("10.0.0.1:25")
		told, helo := front.Told{Front: here}, ""
		err := front.EachAttribute(args, func(name, value string) error { return setXclient(&told, &helo, name, value) })
		if err != nil {
			return
		}
		require.Equal(t, here, told.Front)
		require.False(t, hasControl([]byte(helo+told.Session)))
		require.True(t, helo == "" || validHelo(helo))
		require.LessOrEqual(t, len(told.Session), 64)
		require.False(t, told.Remote.Addr().Is4In6() || told.Remote.Addr().IsLoopback() || told.Remote.Addr().Zone() != "")
		require.True(t, told.Hops == 0 || told.Hops > 1)
	})
}
