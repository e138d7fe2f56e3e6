package pop3

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/testcert"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// users is an Authenticator that knows alice and bob, both with password "pw".
func users(_ context.Context, c auth.Credentials) (auth.Identity, error) {
	switch {
	case c.User == "broken":
		return auth.Identity{}, errors.New("ldap.internal is down")
	case (c.User == "alice" || c.User == "bob") && c.Password == "pw":
		return auth.Identity{User: c.User}, nil
	}
	return auth.Identity{}, auth.ErrBadCredentials
}

var threeMessages = []string{
	"Subject: one\r\n\r\n.\r\n.dot\r\nbody line 3\r\n",
	"Subject: two\r\n\r\nfirst\r\nsecond\r\n.third\r\n",
	"Subject: three\r\n\r\nno line break at the end\r\n",
}

// testServer is a running server over a memory store.
type testServer struct {
	*Server
	store   *memory.Store
	address string
}

func start(t testing.TB, messages ...string) *testServer {
	t.Helper()
	return startWith(t, func(*Server) {}, messages...)
}

// startWith is start for a server that is not as usual.
func startWith(t testing.TB, change func(*Server), messages ...string) *testServer {
	t.Helper()
	s := &testServer{store: memory.New()}
	s.Server = &Server{
		Store: s.store, Auth: auth.AuthenticatorFunc(users), Hostname: "mail.example.test", TLS: testcert.Server(),
		PlainAuth: func(netip.Addr) bool { return true }, Timeouts: Timeouts{AuthDelay: -1},
		Logger: slog.New(slog.DiscardHandler),
	}
	change(s.Server)
	for _, m := range messages {
		s.deliver(t, m)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.address = l.Addr().String()
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(context.Background(), l) }()
	t.Cleanup(func() {
		s.Close()
		<-done
		s.ended(t)
	})
	return s
}

func (s *testServer) deliver(t testing.TB, content string) {
	t.Helper()
	receipts, err := s.store.Deliver(context.Background(), &storage.Delivery{
		Body: message.FromBytes([]byte(content)), Targets: []storage.Target{{User: "alice"}},
	})
	require.NoError(t, err)
	require.NoError(t, receipts[0].Err)
}

func (s *testServer) inbox(t testing.TB) storage.Mailbox {
	t.Helper()
	a, err := s.store.Account(context.Background(), "alice")
	require.NoError(t, err)
	box, err := a.Mailbox(context.Background(), storage.Inbox)
	require.NoError(t, err)
	return box
}

// ended waits until no session runs.
func (s *testServer) ended(t testing.TB) {
	t.Helper()
	require.Eventually(t, func() bool { return s.pool.Len() == 0 }, 5*time.Second, time.Millisecond)
}

func (s *testServer) count(t testing.TB) int {
	t.Helper()
	status, err := s.inbox(t).Status(context.Background())
	require.NoError(t, err)
	return int(status.Messages)
}

// client is a POP3 client that takes lines at LF, as most do.
type client struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func (s *testServer) dial(t testing.TB) *client {
	t.Helper()
	nc, err := net.Dial("tcp", s.address)
	require.NoError(t, err)
	require.NoError(t, nc.SetDeadline(time.Now().Add(20*time.Second)))
	t.Cleanup(func() { nc.Close() })
	c := &client{t, nc, bufio.NewReader(nc)}
	require.Regexp(t, `^\+OK`, c.line())
	return c
}

func (s *testServer) login(t testing.TB) *client {
	t.Helper()
	c := s.dial(t)
	c.ok("USER alice")
	c.ok("PASS pw")
	return c
}

func (c *client) line() string {
	c.t.Helper()
	line, err := c.r.ReadString('\n')
	require.NoError(c.t, err)
	return strings.TrimRight(line, "\r\n")
}

func (c *client) ask(command string) string {
	c.t.Helper()
	_, err := io.WriteString(c, command+"\r\n")
	require.NoError(c.t, err)
	return c.line()
}

func (c *client) ok(command string) string {
	c.t.Helper()
	line := c.ask(command)
	require.Regexp(c.t, `^\+OK`, line, command)
	return line
}

func (c *client) content() string {
	c.t.Helper()
	var b strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		require.NoError(c.t, err)
		if line == ".\r\n" || line == ".\n" {
			return b.String()
		}
		b.WriteString(strings.TrimPrefix(line, "."))
	}
}
