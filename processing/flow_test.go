package processing

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/resolver/resolvertest"
	"github.com/posthouse-mail/posthouse/smtp/sender"
)

// remote is a mail host far away. It behaves as script says on each
// connection in turn, and well when that is over.
type remote struct {
	port int

	mu      sync.Mutex
	script  []func(c net.Conn, r *bufio.Reader)
	visits  int
	content []string
}

func newRemote(t testing.TB, script ...func(c net.Conn, r *bufio.Reader)) *remote {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	m := &remote{port: l.Addr().(*net.TCPAddr).Port, script: script}
	var running sync.WaitGroup
	stopped := make(chan struct{})
	t.Cleanup(func() { close(stopped); l.Close(); running.Wait() })
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				go func() { <-stopped; c.Close() }()
				m.visit(c)
			})
		}
	})
	return m
}

func (m *remote) visit(c net.Conn) {
	m.mu.Lock()
	act := m.behave
	if m.visits < len(m.script) {
		act = m.script[m.visits]
	}
	m.visits++
	m.mu.Unlock()
	act(c, bufio.NewReader(c))
}

// say writes lines and reads a command after each.
func say(c net.Conn, r *bufio.Reader, replies ...string) {
	for _, reply := range replies {
		if _, err := io.WriteString(c, reply+"\r\n"); err != nil {
			return
		}
		if _, err := r.ReadString('\n'); err != nil {
			return
		}
	}
}

// behave takes one message.
func (m *remote) behave(c net.Conn, r *bufio.Reader) {
	say(c, r, "220 hi", "250 hi", "250 ok", "250 ok")
	_, _ = io.WriteString(c, "354 go\r\n")
	var content strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		if line == ".\r\n" {
			break
		}
		content.WriteString(line)
	}
	m.mu.Lock()
	m.content = append(m.content, content.String())
	m.mu.Unlock()
	say(c, r, "250 2.0.0 taken")
}

func (m *remote) messages() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.content...)
}

// connected gives a world a real sender whose far.test is m.
func connected(t testing.TB, m *remote) *world {
	return newWorld(t, func(o *Options) {
		o.Schedule = Schedule{Delays: []time.Duration{time.Millisecond}, Jitter: -1}
		o.Sender = sender.New(sender.Options{
			Hostname: o.Hostname, Port: m.port, AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
			Resolver: &resolvertest.Zone{
				MX: map[string][]net.MX{"far.test": {{Host: "mx.far.test."}}, "null.test": {{Host: "."}}},
				IP: map[string][]string{"mx.far.test": {"127.0.0.1"}},
			},
			Timeouts: sender.Timeouts{Connect: time.Second, Command: 100 * time.Millisecond, DataEnd: 100 * time.Millisecond, Total: 5 * time.Second},
			Logger:   slog.New(slog.DiscardHandler),
		})
	})
}

func TestMessageReachesARemoteHostThroughEveryTrouble(t *testing.T) {
	m := newRemote(t,
		func(net.Conn, *bufio.Reader) {}, // closes
		func(c net.Conn, r *bufio.Reader) { say(c, r, "421 4.3.2 busy") },
		func(c net.Conn, r *bufio.Reader) { say(c, r, "450 4.7.1 greylisted") },
		func(c net.Conn, r *bufio.Reader) { _, _ = r.ReadByte() }, // silent
		func(c net.Conn, r *bufio.Reader) { say(c, r, strings.Repeat("220-flood\r\n", 20_000)) },
		func(c net.Conn, r *bufio.Reader) { say(c, r, "220 hi", "250 hi", "451 4.3.0 no MAIL") },
		func(c net.Conn, r *bufio.Reader) { say(c, r, "220 hi", "250 hi", "250 ok", "450 4.2.1 no RCPT") },
		func(c net.Conn, r *bufio.Reader) { say(c, r, "220 hi", "250 hi", "250 ok", "250 ok", "354 go") }, // drops amid the content
		func(c net.Conn, r *bufio.Reader) {
			say(c, r, "220 hi", "250 hi", "250 ok", "250 ok", "354 go", "")
		},
	)
	w := connected(t, m)
	require.Equal(t, 250, w.handle(t, mailTo(t, "alice@here.test", "x@far.test")).Code)
	w.run(func() {
		require.Eventually(t, func() bool { return len(w.queued(t)) == 0 }, 20*time.Second, 5*time.Millisecond)
	})
	require.Equal(t, []string{trace + text}, m.messages())
	require.Equal(t, 10, m.visits)
	require.Empty(t, w.inbox(t, "alice@here.test"))
}

func TestRefusalFromAfarComesBackAsAReport(t *testing.T) {
	m := newRemote(t, func(c net.Conn, r *bufio.Reader) {
		say(c, r, "220 hi", "250 hi", "250 ok", "550 5.1.1 nobody\x07 here")
	})
	w := connected(t, m)
	w.handle(t, mailTo(t, "alice@here.test", "x@far.test", "y@null.test"))
	w.run(func() {
		require.Eventually(t, func() bool { return len(w.queued(t)) == 0 }, 20*time.Second, 5*time.Millisecond)
	})
	reports := strings.Join(w.inbox(t, "alice@here.test"), "")
	require.Contains(t, reports, "Diagnostic-Code: smtp; 550 5.1.1 nobody? here")
	require.Contains(t, reports, "Remote-MTA: dns; mx.far.test")
	require.Contains(t, reports, "Status: 5.1.10")
	require.Contains(t, reports, "Return-Path: <>")
	require.Len(t, w.inbox(t, "alice@here.test"), 2)
}
