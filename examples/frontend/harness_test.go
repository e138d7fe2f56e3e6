package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/listener"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/pop3"
	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/memory"
)

const (
	waitLong = 30 * time.Second
	waitTick = 10 * time.Millisecond
)

// anyBackEnd is a back end with POP3, where everybody has the password "pw" and
// one message that names it.
type anyBackEnd struct {
	port  int
	asked atomic.Int32 // how often somebody could log in there
}

// startBackEnd starts one in this process.
func startBackEnd(t *testing.T, name string, users ...string) *anyBackEnd {
	t.Helper()
	store := memory.New()
	for _, user := range users {
		_, err := store.Deliver(t.Context(), &storage.Delivery{
			Body: message.FromBytes([]byte("Subject: kept at " + name + "\r\n\r\nHello.\r\n")), Targets: []storage.Target{{User: user}},
		})
		require.NoError(t, err)
	}
	b := &anyBackEnd{}
	s := &pop3.Server{
		Store: store, PlainAuth: func(netip.Addr) bool { b.asked.Add(1); return true },
		Auth: auth.AuthenticatorFunc(func(_ context.Context, c auth.Credentials) (auth.Identity, error) {
			if c.Password != "pw" {
				return auth.Identity{}, auth.ErrBadCredentials
			}
			return auth.Identity{User: c.User}, nil
		}),
	}
	l, err := listener.Listen(t.Context(), listener.Config{Address: "127.0.0.1:0"})
	require.NoError(t, err)
	b.port = l.Addr().(*net.TCPAddr).Port
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(context.WithoutCancel(t.Context()), l)
	}()
	t.Cleanup(func() { _ = s.Close(); <-served })
	return b
}

// route is where the back end is, as a file map has it.
func (b *anyBackEnd) route() string { return fmt.Sprintf("127.0.0.1:%d,tls=none", b.port) }

// testFrontEnd is a front end that runs in this process.
type testFrontEnd struct {
	t     *testing.T
	table [][]string // of what listens where
	stop  func()
}

// startFrontEnd runs a configuration with a state of its own until the test
// ends.
func startFrontEnd(t *testing.T, config string, args ...string) *testFrontEnd {
	t.Helper()
	return startWith(t, fmt.Sprintf("drain = \"2s\"\nstate = %q\n", t.TempDir())+config, args...)
}

func startWith(t *testing.T, config string, args ...string) *testFrontEnd {
	t.Helper()
	file := writeFile(t, "frontend.toml", config)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	out := &printed{ready: make(chan struct{})}
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, append([]string{"-config", file}, args...), out) }()
	select {
	case <-out.ready:
	case err := <-ended:
		cancel()
		require.NoError(t, err)
		t.Fatal("the front end has ended")
	}
	f := &testFrontEnd{t: t, table: out.rows()}
	var once sync.Once
	f.stop = func() { once.Do(func() { cancel(); require.NoError(t, <-ended) }) }
	t.Cleanup(f.stop)
	return f
}

// address returns the n-th address of a service.
func (f *testFrontEnd) address(service string, n int) string {
	f.t.Helper()
	for _, row := range f.table {
		if row[0] == service {
			if n--; n < 0 {
				return row[1]
			}
		}
	}
	f.t.Fatalf("%s is not in the table %v", service, f.table)
	return ""
}

// printed is what the front end prints.
type printed struct {
	mu    sync.Mutex
	text  strings.Builder
	ready chan struct{}
}

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text.Write(b)
	if string(b) == "ready\n" {
		close(p.ready)
	}
	return len(b), nil
}

func (p *printed) rows() (rows [][]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for line := range strings.Lines(p.text.String()) {
		if words := strings.Fields(line); len(words) == 2 {
			rows = append(rows, words)
		}
	}
	return rows
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// readPOP3 logs in and returns the answer to it, and the first message.
func readPOP3(t *testing.T, address, user, password string) (login, text string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(waitLong)))
	r := bufio.NewReader(c)
	say := func(command string) string {
		_, err := fmt.Fprint(c, command)
		require.NoError(t, err)
		line, err := r.ReadString('\n')
		require.NoError(t, err)
		return strings.TrimSpace(line)
	}
	require.Regexp(t, `^\+OK`, say(""))
	say("USER " + user + "\r\n")
	login = say("PASS " + password + "\r\n")
	if !strings.HasPrefix(login, "+OK") {
		return login, ""
	}
	text = say("RETR 1\r\n")
	for !strings.HasSuffix(text, "\n.\r\n") {
		line, err := r.ReadString('\n')
		require.NoError(t, err)
		text += "\n" + line
	}
	return login, text
}
