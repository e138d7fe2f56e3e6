package gssapi_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/gssapi"
	"github.com/posthouse-mail/posthouse/imap"
	"github.com/posthouse-mail/posthouse/internal/realtest"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/pop3"
	"github.com/posthouse-mail/posthouse/smtp"
	"github.com/posthouse-mail/posthouse/storage/memory"
)

// system is a centre with users, and servers that trust it, without TLS.
type system struct {
	*realtest.KDC
	dir              string
	auth             *gssapi.Authenticator
	imap, pop3, smtp int          // ports of localhost
	sent             chan string  // who sent mail
	ahead            atomic.Int64 // of the servers' clock, a time.Duration
}

func startKDC(t *testing.T, o realtest.KDCOptions) *realtest.KDC {
	realtest.RequireKDC(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	k, err := realtest.StartKDC(ctx, o)
	require.NoError(t, err)
	t.Cleanup(k.Stop)
	for _, name := range []string{"alice", "bob", "carol", "mallory"} {
		require.NoError(t, k.AddUser(ctx, name, name+"pw"))
	}
	return k
}

func startSystem(t *testing.T, o realtest.KDCOptions, services ...string) *system {
	s := &system{KDC: startKDC(t, o), dir: t.TempDir(), sent: make(chan string, 10)}
	for _, name := range services {
		require.NoError(t, s.AddService(t.Context(), s.path("keytab"), name+"/localhost"))
	}
	var err error
	s.auth, err = gssapi.New(owners(t), gssapi.Options{Keytab: s.path("keytab"), Hostname: "localhost"})
	require.NoError(t, err)
	s.auth.SetClock(func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }, time.Now().Add(-time.Hour))
	quiet, store := slog.New(slog.DiscardHandler), memory.New()
	s.imap = serve(t, &imap.Server{Store: store, Auth: s.auth, Logger: quiet})
	s.pop3 = serve(t, &pop3.Server{Store: store, Auth: s.auth, Logger: quiet})
	s.smtp = serve(t, &smtp.Server{
		Auth: s.auth, Logger: quiet, RequireAuth: true, Hostname: "localhost",
		Hooks: []smtp.Hooks{{Rcpt: func(context.Context, *smtp.Session, *mail.Envelope, *mail.Recipient) error { return nil }}},
		Handler: smtp.HandlerFunc(func(_ context.Context, m *smtp.Message) error {
			s.sent <- m.Session.User
			return nil
		}),
	})
	return s
}

func serve(t *testing.T, s interface {
	Serve(context.Context, net.Listener) error
	io.Closer
}) (port int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() { _ = s.Serve(context.Background(), l); close(ended) }()
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		<-ended
	})
	return l.Addr().(*net.TCPAddr).Port
}

func (s *system) path(name string) string { return filepath.Join(s.dir, name) }

// run runs a client with somebody's tickets.
func (s *system) run(t *testing.T, user, program string, args ...string) (string, error) {
	realtest.Require(t, program)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), append(s.Environment(s.path(user+".cache")), "HOME="+s.dir)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (s *system) write(t *testing.T, name, text string) string {
	require.NoError(t, os.WriteFile(s.path(name), []byte(text), 0o600))
	return s.path(name)
}

func (s *system) logIn(t *testing.T, user string, args ...string) {
	require.NoError(t, s.LogIn(t.Context(), s.path(user+".cache"), user, user+"pw", args...))
}

func (s *system) gsasl(t *testing.T, user, authzID string) (string, error) {
	return s.run(t, user, "gsasl", "--imap", "-m", "GSSAPI", "--no-starttls", "-a", user, "-z", authzID, fmt.Sprintf("--connect=localhost:%d", s.imap))
}

func (s *system) curl(t *testing.T, user, url string, args ...string) (string, error) {
	return s.run(t, user, "curl", append([]string{"-sSv", "--ipv4", "--max-time", "20", "--login-options", "AUTH=GSSAPI", "-u", user + "@EXAMPLE.TEST:", url}, args...)...)
}

// TestR343GSSAPIWithAKeytabAgainstARealKDC lets real clients log in to our
// servers, each with its own implementation of SASL: curl's, GNU's, Cyrus's and
// fetchmail's. curl does not ask the server to prove itself.
func TestR343GSSAPIWithAKeytabAgainstARealKDC(t *testing.T) {
	for _, kind := range []string{"aes256-cts-hmac-sha1-96", "aes256-cts-hmac-sha384-192", "aes128-cts-hmac-sha1-96", "aes128-cts-hmac-sha256-128"} {
		t.Run(kind, func(t *testing.T) {
			s := startSystem(t, realtest.KDCOptions{Enctypes: kind}, "imap", "pop", "smtp")
			s.logIn(t, "alice")
			out, err := s.gsasl(t, "alice", "alice@example.test")
			require.NoError(t, err, out)
			letter := s.write(t, "letter", "From: alice@example.test\r\nSubject: by ticket\r\n\r\nHello.\r\n")
			out, err = s.curl(t, "alice", fmt.Sprintf("imap://localhost:%d/INBOX", s.imap), "-T", letter)
			require.NoError(t, err, out)
			out, err = s.curl(t, "alice", fmt.Sprintf("pop3://localhost:%d/1", s.pop3))
			require.NoError(t, err, out)
			require.Contains(t, out, "Subject: by ticket")
			out, err = s.curl(t, "alice", fmt.Sprintf("smtp://localhost:%d", s.smtp), "--mail-from", "alice@example.test", "--mail-rcpt", "bob@example.test", "-T", letter)
			require.NoError(t, err, out)
			require.Equal(t, "alice@example.test", <-s.sent)
			s.mbsync(t)
			s.fetchmail(t)
		})
	}
}

// mbsync uses the SASL library of Cyrus.
func (s *system) mbsync(t *testing.T) {
	rc := s.write(t, "mbsyncrc", fmt.Sprintf(`IMAPStore there
Host localhost
Port %d
User alice
SSLType None
AuthMechs GSSAPI

MaildirStore here
Path %s/
Inbox %s
SubFolders Verbatim

Channel all
Far :there:
Near :here:
Pattern INBOX
SyncState *
`, s.imap, s.path("mail"), s.path("inbox")))
	require.NoError(t, os.MkdirAll(s.path("mail"), 0o700))
	require.NoError(t, os.MkdirAll(s.path("inbox"), 0o700))
	out, err := s.run(t, "alice", "mbsync", "-c", rc, "-D", "--create", "all")
	require.NoError(t, err, out)
	names, err := filepath.Glob(s.path("inbox/*/*"))
	require.NoError(t, err)
	require.NotEmpty(t, names, out)
}

// fetchmail speaks GSSAPI itself.
func (s *system) fetchmail(t *testing.T) {
	rc := s.write(t, "fetchmailrc", fmt.Sprintf(
		"poll localhost service %d protocol IMAP auth gssapi user \"alice\" password \"\" sslproto \"\" keep mda \"cat >> %s\"\n", s.imap, s.path("fetched")))
	out, err := s.run(t, "alice", "fetchmail", "-v", "-a", "--nodetach", "--nosyslog", "-f", rc)
	require.NoError(t, err, out)
	text, err := os.ReadFile(s.path("fetched"))
	require.NoError(t, err, out)
	require.Contains(t, string(text), "Subject: by ticket")
}

func TestRealClientsThatHaveNoGoodTicketAreRefused(t *testing.T) {
	s := startSystem(t, realtest.KDCOptions{}, "imap")
	for _, user := range []string{"alice", "mallory", "carol"} {
		s.logIn(t, user)
	}
	refused := func(why string, out string, err error) {
		t.Helper()
		require.Error(t, err, why)
		require.True(t, strings.Contains(out, "NO [AUTHENTICATIONFAILED]") || strings.Contains(out, "-ERR [AUTH]"), "%s: %s", why, out)
	}
	for _, user := range []string{"mallory", "carol"} {
		out, err := s.gsasl(t, user, "")
		refused("A14: no account, or a disabled one", out, err)
	}
	out, err := s.gsasl(t, "alice", "bob@example.test")
	refused("A09: for somebody else", out, err)

	// A key for POP3 that the server has not.
	require.NoError(t, s.AddService(t.Context(), s.path("other"), "pop/localhost"))
	out, err = s.curl(t, "alice", fmt.Sprintf("pop3://localhost:%d/", s.pop3))
	refused("no key of this service", out, err)
	// A ticket for the wrong service: POP3's client comes to IMAP's server.
	out, err = s.run(t, "alice", "gsasl", "--imap", "--service=pop", "-m", "GSSAPI", "--no-starttls", "-a", "alice", "-z", "", fmt.Sprintf("--connect=localhost:%d", s.imap))
	refused("a ticket for another service", out, err)

	s.ahead.Store(int64(10 * time.Minute))
	out, err = s.gsasl(t, "alice", "")
	refused("a clock that is off", out, err)
	s.ahead.Store(0)
	out, err = s.gsasl(t, "alice", "")
	require.NoError(t, err, out)

	// The keys are replaced, and the old keytab stays.
	require.NoError(t, s.AddService(t.Context(), s.path("newer"), "imap/localhost"))
	s.logIn(t, "alice")
	out, err = s.gsasl(t, "alice", "")
	refused("a key that is not in the keytab", out, err)
	newer, err := os.ReadFile(s.path("newer"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(s.path("keytab"), newer, 0o600))
	require.NoError(t, s.auth.Reload())
	out, err = s.gsasl(t, "alice", "")
	require.NoError(t, err, out)
}

func TestARealCentreIsNotNeededByTheServer(t *testing.T) {
	s := startSystem(t, realtest.KDCOptions{}, "imap")
	s.logIn(t, "alice")
	out, err := s.gsasl(t, "alice", "")
	require.NoError(t, err, out)
	s.Kill()
	out, err = s.gsasl(t, "alice", "")
	require.NoError(t, err, out)
	require.NoError(t, s.Restart(t.Context()))
}

func TestTheTicketsOfAnotherRealCentreAreRefused(t *testing.T) {
	s := startSystem(t, realtest.KDCOptions{}, "imap")
	other := startKDC(t, realtest.KDCOptions{})
	require.NoError(t, other.AddService(t.Context(), s.path("other"), "imap/localhost"))
	require.NoError(t, other.LogIn(t.Context(), s.path("alice.cache"), "alice", "alicepw"))
	s.KDC = other
	out, err := s.gsasl(t, "alice", "")
	require.Error(t, err, out)
	require.Contains(t, out, "AUTHENTICATIONFAILED")
	require.NotEmpty(t, auth.Mechanisms(s.auth, auth.Policy{}, auth.Credentials{}))
}
