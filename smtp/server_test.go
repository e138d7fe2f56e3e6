package smtp

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/dialogue"
	"github.com/posthouse-mail/posthouse/internal/testcert"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// box is a Handler that keeps what it gets.
type box struct {
	mu       sync.Mutex
	messages []kept
	answer   func(m *Message) error // nil: takes everything
}

// kept is a message in the box, its body read.
type kept struct {
	Message
	facts Session // at the time
	text  string
}

func (b *box) Handle(_ context.Context, m *Message) error {
	text, err := io.ReadAll(message.NewReader(m.Body))
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.messages = append(b.messages, kept{*m, *m.Session, string(text)})
	if b.answer != nil {
		return b.answer(m)
	}
	return nil
}

func (b *box) all() []kept {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.messages
}

// only returns the one message in the box.
func (b *box) only(t *testing.T) kept {
	t.Helper()
	all := b.all()
	require.Len(t, all, 1)
	return all[0]
}

// anyone is the Rcpt hook of a test that doesn't care about relaying.
func anyone(context.Context, *Session, *mail.Envelope, *mail.Recipient) error { return nil }

// alice is the only user: "alice", "secret".
var alice = auth.AuthenticatorFunc(func(_ context.Context, c auth.Credentials) (auth.Identity, error) {
	switch {
	case c.User == "broken":
		return auth.Identity{}, io.ErrUnexpectedEOF
	case c.User != "alice" || c.Password != "secret":
		return auth.Identity{}, auth.ErrBadCredentials
	}
	return auth.Identity{User: "alice@example.test"}, nil
})

var quiet = slog.New(slog.DiscardHandler)

// newServer returns a server for tests: everything on, no delays.
func newServer(h Handler) *Server {
	s := &Server{
		Hostname:  "mx.example.test",
		Handler:   h,
		Hooks:     []Hooks{{Rcpt: anyone}},
		Auth:      alice,
		TLS:       testcert.Server(),
		PlainAuth: netip.Addr.IsLoopback,
		Logger:    quiet,
	}
	s.Limits.Delay = -1
	return s
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return l
}

func newReader(nc net.Conn) *bufio.Reader { return bufio.NewReader(nc) }

// start serves s on loopback until the test ends.
func start(t testing.TB, s *Server) (address string) {
	t.Helper()
	l := listen(t)
	done := make(chan error, 1)
	go func() { done <- s.Serve(context.Background(), l) }()
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.ErrorIs(t, <-done, ErrServerClosed)
	})
	return l.Addr().String()
}

func dial(t testing.TB, address string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { nc.Close() })
	return nc
}

// say plays a dialogue that is written in the test against s.
func say(t *testing.T, s *Server, text string) {
	t.Helper()
	dialogue.Play(t, dial(t, start(t, s)), t.Name(), text)
}

func TestDialogues(t *testing.T) {
	files, err := os.ReadDir("testdata/plain")
	require.NoError(t, err)
	for _, f := range files {
		t.Run(f.Name(), func(t *testing.T) {
			dialogue.Run(t, dial(t, start(t, newServer(&box{}))), "testdata/plain/"+f.Name())
		})
	}
}
