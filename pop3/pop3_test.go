package pop3

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/dialogue"
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
		PlainAuth: func(netip.Addr) bool { return true }, Limits: Limits{AuthDelay: -1},
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
		require.Eventually(t, func() bool { return s.pool.Len() == 0 }, 5*time.Second, time.Millisecond)
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

func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			s := start(t, threeMessages...)
			nc, err := net.Dial("tcp", s.address)
			require.NoError(t, err)
			dialogue.Run(t, nc, f)
		})
	}
}

func TestContentComesBackAsItIsStored(t *testing.T) {
	contents := []string{
		"Subject: a\r\n\r\nbody\r\n", ".\r\n.\r\n..\r\n", "", "no end", "a\r\n\r\n\x00\xff8-bit\r\n",
		"bare LF\n\n.\n..x\nend\n", "lone\rCR\r\n", strings.Repeat("x", 100_000) + "\r\n." + strings.Repeat("y\r\n", 50_000),
		strings.Repeat("z", chunkSize-1) + "\r\n.\r\n", strings.Repeat("z", chunkSize-2) + "\r\n.\r\n",
	}
	s := start(t, contents...)
	c := s.login(t)
	for i, want := range contents {
		if want != "" && !strings.HasSuffix(want, "\r\n") {
			want += "\r\n"
		}
		c.ok(fmt.Sprintf("RETR %d", i+1))
		require.Equal(t, want, c.content(), "message %d", i+1)
	}
	c.ok("QUIT")
}

func TestP01NumbersThatNameNoMessage(t *testing.T) {
	s := startWith(t, func(s *Server) { s.Limits.BadCommands = 100 }, threeMessages...)
	c := s.login(t)
	for _, args := range []string{"0", "-1", "+1", "4", "99999999999", "99999999999999999999999", "1 2", "one", ""} {
		for _, command := range []string{"RETR", "DELE", "LIST", "UIDL", "TOP"} {
			if args == "" && (command == "LIST" || command == "UIDL") {
				continue
			}
			full := command + " " + args
			if command == "TOP" {
				full += " 1"
			}
			require.Regexp(t, "^-ERR ", c.ask(full), full)
		}
	}
	c.ok("TOP 1 999999999")
	require.Equal(t, threeMessages[0], c.content())
	c.ok("DELE 1")
	require.Regexp(t, "^-ERR ", c.ask("DELE 1"))
}

func TestP02SecondSessionOfAMaildropIsRefused(t *testing.T) {
	s := start(t, threeMessages...)
	first := s.login(t)
	second := s.dial(t)
	second.ok("USER alice")
	require.Regexp(t, `^-ERR \[IN-USE\] `, second.ask("PASS pw"))
	first.ok("QUIT")
	_, err := first.r.ReadByte()
	require.ErrorIs(t, err, io.EOF)
	require.Eventually(t, func() bool {
		second.ok("USER alice")
		return strings.HasPrefix(second.ask("PASS pw"), "+OK")
	}, 5*time.Second, time.Millisecond)
}

func TestSessionsOfOneMaildropUpToTheLimit(t *testing.T) {
	s := startWith(t, func(s *Server) { s.Limits.Sessions = 2 }, threeMessages...)
	s.login(t)
	s.login(t)
	third := s.dial(t)
	third.ok("USER alice")
	require.Regexp(t, `^-ERR \[IN-USE\] `, third.ask("PASS pw"))
	third.ok("USER bob")
	third.ok("PASS pw")
}

func TestP03MessageExpungedElsewhere(t *testing.T) {
	s := start(t, threeMessages...)
	c := s.login(t)
	before := c.ok("STAT")
	_, err := s.inbox(t).Expunge(context.Background(), imap.UIDSetNum(2))
	require.NoError(t, err)
	s.deliver(t, "Subject: late\r\n\r\n")
	require.Equal(t, before, c.ok("STAT"))
	require.Regexp(t, "^-ERR ", c.ask("RETR 2"))
	require.Equal(t, "+OK 2 0", c.ok("LIST 2"))
	require.Equal(t, before, c.ok("STAT"))
	require.Regexp(t, "^-ERR ", c.ask("RETR 4"))
	c.ok("DELE 2")
	c.ok("QUIT")
}

func TestP04LostConnectionDeletesNothing(t *testing.T) {
	s := start(t, threeMessages...)
	c := s.login(t)
	c.ok("DELE 1")
	c.Close()
	require.Eventually(t, func() bool { return s.pool.Len() == 0 }, 5*time.Second, time.Millisecond)
	status, err := s.inbox(t).Status(context.Background())
	require.NoError(t, err)
	require.EqualValues(t, 3, status.Messages)
}

func TestQuitDeletesAndRetrSetsSeen(t *testing.T) {
	s := start(t, threeMessages...)
	c := s.login(t)
	c.ok("RETR 2")
	c.content()
	c.ok("TOP 3 1")
	c.content()
	c.ok("DELE 1")
	c.ok("QUIT")
	flags := map[imap.UID]bool{}
	for m, err := range s.inbox(t).Messages(context.Background(), 0) {
		require.NoError(t, err)
		flags[m.UID] = m.Flags.Has(storage.Seen)
	}
	require.Equal(t, map[imap.UID]bool{2: true, 3: false}, flags)
}

func TestUniqueIDsDoNotChange(t *testing.T) {
	s := start(t, threeMessages...)
	c := s.login(t)
	id := strings.Fields(c.ok("UIDL 3"))[2]
	c.ok("DELE 1")
	c.ok("QUIT")
	require.Eventually(t, func() bool { return s.pool.Len() == 0 }, 5*time.Second, time.Millisecond)
	require.Equal(t, id, strings.Fields(s.login(t).ok("UIDL 2"))[2])
}

func TestLoginNeedsTLSWherePlainIsNotAllowed(t *testing.T) {
	s := startWith(t, func(s *Server) { s.PlainAuth = nil })
	c := s.dial(t)
	require.Regexp(t, `^-ERR \[AUTH\] `, c.ask("USER alice"))
	require.Regexp(t, `^-ERR \[AUTH\] `, c.ask("PASS pw"))
	require.Regexp(t, `^-ERR \[AUTH\] `, c.ask("AUTH PLAIN AGFsaWNlAHB3"))
	c.ok("CAPA")
	capabilities := c.content()
	require.NotContains(t, capabilities, "USER")
	require.NotContains(t, capabilities, "SASL")
	require.Contains(t, capabilities, "STLS")
}

func TestStlsDiscardsNothingSilently(t *testing.T) {
	s := start(t)
	c := s.dial(t)
	require.Regexp(t, "^-ERR Input before the TLS handshake", c.ask("STLS\r\nUSER evil"))
	_, err := c.r.ReadByte()
	require.Error(t, err)
}

func TestFailedLoginsEndTheSession(t *testing.T) {
	s := startWith(t, func(s *Server) { s.Limits.AuthFailures = 3 })
	c := s.dial(t)
	for range 2 {
		c.ok("USER alice")
		require.Equal(t, "-ERR [AUTH] Authentication failed", c.ask("PASS wrong"))
	}
	c.ok("USER nobody")
	require.Regexp(t, `^-ERR \[AUTH\] Too many`, c.ask("PASS wrong"))
	_, err := c.r.ReadByte()
	require.ErrorIs(t, err, io.EOF)
}

func TestBrokenDirectoryIsATemporaryAnswerThatTellsNothing(t *testing.T) {
	s := start(t)
	c := s.dial(t)
	c.ok("USER broken")
	answer := c.ask("PASS pw")
	require.Regexp(t, `^-ERR \[SYS/TEMP\] `, answer)
	require.NotContains(t, answer, "ldap")
}

func TestWrongCommandsEndTheSession(t *testing.T) {
	s := start(t)
	c := s.dial(t)
	for range 20 {
		require.Regexp(t, "^-ERR ", c.ask("GET / HTTP/1.1"))
	}
	_, err := c.r.ReadByte()
	require.ErrorIs(t, err, io.EOF)
}

func TestLineWithoutEndIsRefusedAtTheLimit(t *testing.T) {
	s := start(t)
	c := s.dial(t)
	go func() { _, _ = io.WriteString(c, strings.Repeat("x", 1<<20)) }()
	require.Regexp(t, "^-ERR Line too long", c.line())
}

func TestPipelinedCommandsAreAnsweredInOrder(t *testing.T) {
	s := start(t, threeMessages...)
	c := s.dial(t)
	require.Equal(t, "+OK Send PASS", c.ask("USER alice\r\nPASS pw\r\nSTAT\r\nQUIT"))
	require.Regexp(t, `^\+OK Maildrop`, c.line())
	require.Equal(t, "+OK 3 121", c.line())
	require.Equal(t, "+OK Goodbye", c.line())
}

func TestShutdownEndsIdleSessionsWithoutDeleting(t *testing.T) {
	s := start(t, threeMessages...)
	c := s.login(t)
	c.ok("DELE 1")
	require.NoError(t, s.Shutdown(context.Background()))
	require.Regexp(t, `^-ERR \[SYS/TEMP\] `, c.line())
	status, err := s.inbox(t).Status(context.Background())
	require.NoError(t, err)
	require.EqualValues(t, 3, status.Messages)
}

func FuzzSession(f *testing.F) {
	f.Add([]byte("USER alice\r\nPASS pw\r\nRETR 1\r\nTOP 2 1\r\nDELE 3\r\nQUIT\r\n"))
	f.Add([]byte("AUTH PLAIN AGFsaWNlAHB3\r\nLIST\r\nUIDL\r\nRSET\r\n"))
	f.Add([]byte("CAPA\r\nSTLS\r\n\x16\x03\x01"))
	f.Fuzz(func(t *testing.T, input []byte) {
		s := start(t, threeMessages...)
		nc, err := net.Dial("tcp", s.address)
		require.NoError(t, err)
		defer nc.Close()
		go func() {
			_, _ = nc.Write(input)
			_ = nc.(*net.TCPConn).CloseWrite()
		}()
		r := bufio.NewReader(nc)
		first, err := r.ReadString('\n')
		require.NoError(t, err)
		require.Regexp(t, `^\+OK .*\r\n$`, first)
		_, _ = io.Copy(io.Discard, r) // the session ends, whatever came
	})
}

func FuzzStuffer(f *testing.F) {
	f.Add([]byte("Subject: a\r\n\r\n.\r\n..\nx\n.\n"), 3)
	f.Fuzz(func(t *testing.T, content []byte, split int) {
		var out strings.Builder
		s := &stuffer{out: &out, left: allLines}
		for len(content) > 0 {
			n := min(len(content), max(1, split))
			_, err := s.write(content[:n])
			require.NoError(t, err)
			content = content[n:]
		}
		require.NoError(t, s.end())
		require.True(t, out.String() == ".\r\n" || strings.HasSuffix(out.String(), "\r\n.\r\n"))
		for i, line := range strings.SplitAfter(out.String(), "\n") {
			require.False(t, (line == ".\r\n" || line == ".\n") && i < strings.Count(out.String(), "\n")-1, "an early end")
		}
	})
}

func BenchmarkRetr(b *testing.B) {
	s := start(b, "Subject: three kilobytes\r\n\r\n"+strings.Repeat(strings.Repeat("x", 70)+"\r\n", 42))
	c := s.login(b)
	b.SetBytes(3 << 10)
	for b.Loop() {
		c.ok("RETR 1")
		c.content()
	}
}
