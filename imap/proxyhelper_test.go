package imap

import (
	"bufio"
	"context"
	"encoding/base64"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/testcert"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
)

// fakeBackend is a scripted back end, which keeps what it hears.
type fakeBackend struct {
	route mapping.Route

	mu    sync.Mutex
	heard []string
	conns int
}

// peerOfProxy is one of its connections.
type peerOfProxy struct {
	net.Conn
	in      *bufio.Reader
	backend *fakeBackend
}

func (p *peerOfProxy) say(text string) { _, _ = io.WriteString(p, text+"\r\n") }

// hear returns a line; "" is the end.
func (p *peerOfProxy) hear() string {
	line, _ := p.in.ReadString('\n')
	line = strings.TrimSuffix(line, "\r\n")
	p.backend.mu.Lock()
	defer p.backend.mu.Unlock()
	p.backend.heard = append(p.backend.heard, line)
	return line
}

// lines returns what the back end has heard on all connections.
func (b *fakeBackend) lines() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.heard...)
}

func (b *fakeBackend) connections() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.conns
}

// startBackend plays a script to each connection, and closes it then.
func startBackend(t testing.TB, script func(p *peerOfProxy)) *fakeBackend {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b := &fakeBackend{route: routeTo(l.Addr().String())}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			_ = nc.SetDeadline(time.Now().Add(60 * time.Second))
			b.mu.Lock()
			b.conns++
			b.mu.Unlock()
			running.Go(func() {
				defer nc.Close()
				script(&peerOfProxy{Conn: nc, in: bufio.NewReader(nc), backend: b})
			})
		}
	})
	t.Cleanup(func() { l.Close(); running.Wait() })
	return b
}

func routeTo(address string) mapping.Route {
	host, port, _ := net.SplitHostPort(address)
	n, _ := strconv.Atoi(port)
	return mapping.Route{Host: host, Port: n, TLS: mapping.TLSNone}
}

// ordinary is the script of a back end with capabilities. alice has the
// password "secret"; other users are answered what stands in answers. After a
// login it repeats what it hears.
func ordinary(capabilities string, answers map[string]string) func(p *peerOfProxy) {
	return func(p *peerOfProxy) {
		p.say("* OK [CAPABILITY " + capabilities + "] back end ready")
		for line := p.hear(); line != ""; line = p.hear() {
			tag, rest, _ := strings.Cut(line, " ")
			name, args, _ := strings.Cut(rest, " ")
			var user, password string
			switch name {
			case "CAPABILITY":
				p.say("* CAPABILITY " + capabilities)
				p.say(tag + " OK done")
				continue
			case "ID":
				p.say("* ID (\"name\" {4}\r\nfake)")
				p.say(tag + " OK done")
				continue
			case "LOGIN":
				user, password, _ = strings.Cut(strings.ReplaceAll(args, `"`, ""), " ")
			case "AUTHENTICATE":
				user, password = p.authenticate(args)
			}
			if p.judge(tag, user, password, answers) {
				_, _ = io.Copy(p, p.in)
				return
			}
		}
	}
}

func (p *peerOfProxy) authenticate(args string) (user, password string) {
	_, response, initial := strings.Cut(args, " ")
	if !initial {
		p.say("+ ")
		response = p.hear()
	}
	octets, _ := base64.StdEncoding.DecodeString(response)
	words := strings.Split(string(octets), "\x00")
	if len(words) != 3 {
		return "", ""
	}
	return words[1], words[2]
}

func (p *peerOfProxy) judge(tag, user, password string, answers map[string]string) (ok bool) {
	if answer, scripted := answers[user]; scripted {
		p.say("* OK still thinking")
		p.say(tag + " " + answer)
		return false
	}
	if user != "alice" || password != "secret" {
		p.say(tag + " NO [AUTHENTICATIONFAILED] nobody like that at the back end")
		return false
	}
	p.say("* 1 EXISTS")
	p.say(tag + " OK [CAPABILITY IMAP4rev1 XBACKEND] welcome")
	return true
}

// frontTo leads everybody to one back end.
func frontTo(route mapping.Route) *proxy.Front {
	return &proxy.Front{
		Mapper: mapping.Static(route), Logger: slog.New(slog.DiscardHandler),
		Backends: func(mapping.Route) proxy.Backend { return proxy.Backend{TLSConfig: testcert.Client()} },
	}
}

// withBackend makes a front's back ends what b is.
func withBackend(f *proxy.Front, b proxy.Backend) *proxy.Front {
	f.Backends = func(mapping.Route) proxy.Backend { return b }
	return f
}

// newProxy returns the address of a proxy that lets everybody send passwords,
// with a change made to it before it starts.
func newProxy(t testing.TB, f *proxy.Front, change func(*Proxy)) string {
	t.Helper()
	p := &Proxy{Front: f, TLS: testcert.Server(), PlainAuth: anyone, Timeouts: Timeouts{AuthDelay: -1}, Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(p)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- p.Serve(context.Background(), l) }()
	t.Cleanup(func() {
		p.Close()
		require.ErrorIs(t, <-done, ErrServerClosed)
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		require.NoError(t, p.Shutdown(ctx), "sessions still run")
	})
	return l.Addr().String()
}

// plainResponse is the response of PLAIN.
func plainResponse(authzID, user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(authzID + "\x00" + user + "\x00" + password))
}

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
