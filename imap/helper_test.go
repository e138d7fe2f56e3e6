package imap

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
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

func TestMain(m *testing.M) {
	if os.Getenv(idleChild) != "" {
		runIdleChild()
		return
	}
	goleak.VerifyTestMain(m)
}

// passwords of the test users.
var passwords = map[string]string{"alice": "secret", "bob": "hunter2", "dora@example.test": "dodo", "grüße": "pä\"ss\\wort"}

func checkPassword(_ context.Context, c auth.Credentials) (auth.Identity, error) {
	switch want, ok := passwords[c.User]; {
	case c.User == "broken":
		return auth.Identity{}, fmt.Errorf("directory is down: %w", auth.ErrUnavailable)
	case !ok || want != c.Password || c.AuthzID != "" && c.AuthzID != c.User:
		return auth.Identity{}, auth.ErrBadCredentials
	}
	return auth.Identity{User: c.User}, nil
}

func anyone(netip.Addr) bool { return true }

func quietServer(store storage.Store) *Server {
	return &Server{
		Store: store, Auth: auth.AuthenticatorFunc(checkPassword), TLS: testcert.Server(), PlainAuth: anyone,
		Timeouts: Timeouts{AuthDelay: -1}, Logger: slog.New(slog.DiscardHandler),
	}
}

// newServer returns a server over an empty store that lets everybody send
// passwords, with a change made to it before it starts.
func newServer(t testing.TB, change func(*Server)) (*Server, string) {
	t.Helper()
	s := quietServer(memory.New())
	if change != nil {
		change(s)
	}
	return s, start(t, s)
}

// start serves on a loopback port until the test ends.
func start(t testing.TB, s *Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	startOn(t, s, l)
	return l.Addr().String()
}

// startOn serves on a listener until the test ends.
func startOn(t testing.TB, s *Server, l net.Listener) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- s.Serve(context.Background(), l) }()
	t.Cleanup(func() {
		s.Close()
		require.ErrorIs(t, <-done, ErrServerClosed)
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		require.NoError(t, s.Shutdown(ctx), "sessions still run")
	})
}

// client is a raw connection to a server.
type client struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
	tags int
}

func dial(t testing.TB, addr string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return talk(t, conn)
}

func talk(t testing.TB, conn net.Conn) *client {
	t.Helper()
	require.NoError(t, conn.SetDeadline(time.Now().Add(60*time.Second)))
	c := &client{t: t, conn: conn, in: bufio.NewReader(conn)}
	require.Contains(t, c.line(), "* OK ")
	return c
}

// login connects and logs alice in.
func login(t testing.TB, addr string) *client {
	t.Helper()
	c := dial(t, addr)
	c.ok("LOGIN alice secret")
	return c
}

func (c *client) send(s string) {
	c.t.Helper()
	_, err := io.WriteString(c.conn, s)
	require.NoError(c.t, err)
}

// line reads a line; "" is the end.
func (c *client) line() string {
	c.t.Helper()
	line, err := c.in.ReadString('\n')
	if err == io.EOF && line == "" {
		return ""
	}
	require.NoError(c.t, err, "after %q", line)
	return strings.TrimSuffix(line, "\r\n")
}

// cmd sends a command and returns everything up to its tagged answer, and
// that answer without its tag.
func (c *client) cmd(text string) (untagged, answer string) {
	c.t.Helper()
	c.tags++
	tag := fmt.Sprintf("t%d", c.tags)
	c.send(tag + " " + text + "\r\n")
	return c.until(tag)
}

func (c *client) until(tag string) (untagged, answer string) {
	c.t.Helper()
	var all strings.Builder
	for {
		line, err := c.in.ReadString('\n')
		require.NoError(c.t, err, "after %q %q", all.String(), line)
		if rest, ok := strings.CutPrefix(line, tag+" "); ok {
			return all.String(), strings.TrimSuffix(rest, "\r\n")
		}
		all.WriteString(line)
	}
}

func (c *client) ok(text string) string {
	c.t.Helper()
	untagged, answer := c.cmd(text)
	require.True(c.t, strings.HasPrefix(answer, "OK "), "%s: %s%s", text, untagged, answer)
	return untagged
}

// fails sends a command that must be answered with a beginning.
func (c *client) fails(text, want string) string {
	c.t.Helper()
	untagged, answer := c.cmd(text)
	require.True(c.t, strings.HasPrefix(answer, want), "%s: %s%s", text, untagged, answer)
	return untagged
}

// expectClosed expects a BYE and the end of the connection.
func (c *client) expectClosed() string {
	c.t.Helper()
	rest, _ := io.ReadAll(c.in) // a reset counts as an end
	require.Contains(c.t, string(rest), "* BYE ")
	return string(rest)
}

var received = time.Date(2026, 3, 14, 15, 9, 26, 0, time.FixedZone("", -7*3600))

// deliver puts a message into alice's INBOX.
func deliver(t testing.TB, s storage.Store, text string, flags ...string) {
	t.Helper()
	deliverTo(t, s, "alice", "INBOX", text)
}

func deliverTo(t testing.TB, s storage.Store, user, mailbox, text string) {
	t.Helper()
	receipts, err := s.Deliver(context.Background(), &storage.Delivery{
		Body: message.FromBytes([]byte(text)), Date: received,
		Targets: []storage.Target{{User: user, Mailbox: mailbox, Create: true}},
	})
	require.NoError(t, err)
	require.NoError(t, receipts[0].Err)
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

var plainMessage = crlf(`From: Alice <alice@example.test>
To: bob@example.test
Subject: Lunch
Date: Sat, 14 Mar 2026 12:00:00 +0100
Message-ID: <1@example.test>

Shall we?
`)

var mixedMessage = crlf(`From: "Bob \"B\" Builder" <bob@example.test>, carol@example.test
To: team: dave@example.test, erin@example.test;
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=
Date: Sun, 15 Mar 2026 08:00:00 +0000
Message-ID: <2@example.test>
In-Reply-To: <1@example.test>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="xx"

preamble
--xx
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable
Content-Language: de

Sch=C3=B6ne Gr=C3=BC=C3=9Fe aus Wien
--xx
Content-Type: application/octet-stream; name=data.bin
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="data.bin"

AAECAwQFBgcICQ==
--xx
Content-Type: message/rfc822

From: inner@example.test
Subject: Inside
Content-Type: text/html

<b>inner body</b>
--xx--
`)

// startTLSListener serves on a listener that leaves handshakes to the session.
func startTLSListener(t *testing.T, s *Server, config *tls.Config) string {
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Serve(context.Background(), l) }()
	t.Cleanup(func() { s.Close(); <-done })
	return l.Addr().String()
}

func dialRaw(addr string) (net.Conn, error) {
	c, err := net.Dial("tcp", addr)
	if err == nil {
		err = c.SetDeadline(time.Now().Add(20 * time.Second))
	}
	return c, err
}
