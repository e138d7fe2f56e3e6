package clients

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// Curl runs curl on a URL of a service, "imap://" and the like before its
// address and a path behind it, logged in, in a directory.
func (a *Account) Curl(t testing.TB, dir, scheme string, s Service, path string, args ...string) string {
	t.Helper()
	args = append([]string{"-sS", "--max-time", "60", "--user", a.User + ":" + a.Password}, args...)
	if a.TLS != NoTLS {
		args = append(args, "--ssl-reqd", "--cacert", a.Authorities)
	}
	return Run(t, dir, "curl", append(args, a.by(scheme, scheme, scheme+"s")+"://"+a.at(s)+"/"+path)...)
}

// CurlIMAP has curl make a mailbox, upload, search, fetch, mark and expunge.
func (a *Account) CurlIMAP(t testing.TB) {
	realtest.Require(t, "curl")
	dir := t.TempDir()
	curl := func(path string, args ...string) string {
		t.Helper()
		return a.Curl(t, dir, "imap", a.IMAP, path, args...)
	}
	require.Contains(t, curl(""), "INBOX")
	curl("", "-X", "CREATE Letters")
	writeFile(t, filepath.Join(dir, "message"), "Subject: by curl\r", "Message-ID: <1@example.org>\r", "\r", "first body\r")
	curl("Letters", "-T", "message")
	a.Append(t, "Letters", 2, 5)
	require.Contains(t, curl("Letters?SUBJECT%20curl"), "* SEARCH 1")
	require.Equal(t, string(numbered(3)), curl("Letters;UID=3"))
	require.Contains(t, curl("Letters;MAILINDEX=1;SECTION=TEXT"), "first body")
	require.Contains(t, curl("Letters", "-X", `STORE 2 +FLAGS (\Deleted)`), `\Deleted`)
	require.Contains(t, curl("Letters", "-X", "EXPUNGE"), "* 2 EXPUNGE")
	letters := a.Look(t, "Letters")
	require.Contains(t, letters, "4@example.org")
	require.NotContains(t, letters, "2@example.org")
}

// CurlMechanisms has curl log in to IMAP with each mechanism for passwords, by
// AUTHENTICATE with an initial response and without.
func (a *Account) CurlMechanisms(t testing.TB) {
	realtest.Require(t, "curl")
	for _, mechanism := range []string{"PLAIN", "LOGIN"} {
		for _, initial := range []string{"--sasl-ir", "--no-sasl-ir"} {
			out := a.Curl(t, t.TempDir(), "imap", a.IMAP, "", "--login-options", "AUTH="+mechanism, initial)
			require.Contains(t, out, "INBOX", "%s %s", mechanism, initial)
		}
	}
}

// CurlPOP3 has curl list, read and delete messages, with each mechanism for
// passwords.
func (a *Account) CurlPOP3(t testing.TB) {
	realtest.Require(t, "curl")
	a.Append(t, "INBOX", 1, 4)
	dir := t.TempDir()
	for _, login := range []string{"AUTH=PLAIN", "AUTH=LOGIN"} {
		list := a.Curl(t, dir, "pop3", a.POP3, "", "--login-options", login)
		require.Equal(t, 3, strings.Count(list, "\n"), "%s: %s", login, list)
	}
	require.Equal(t, string(numbered(2)), a.Curl(t, dir, "pop3", a.POP3, "2"))
	require.Contains(t, a.Curl(t, dir, "pop3", a.POP3, "", "-X", "TOP 3 0"), "Subject: message 3")
	a.Curl(t, dir, "pop3", a.POP3, "1", "-X", "DELE", "-I")
	require.Len(t, a.Look(t, "INBOX"), 2)
}

// CurlSubmits has curl send a message to somebody.
func (a *Account) CurlSubmits(t testing.TB, to string, more ...string) {
	realtest.Require(t, "curl")
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "message"), "From: <"+a.User+">", "Subject: sent by curl from "+a.User, "", "a body")
	args := append([]string{"--mail-from", a.User, "--mail-rcpt", to, "--crlf", "-T", "message"}, more...)
	a.Curl(t, dir, "smtp", a.Submission, "client.example.org", args...)
}
