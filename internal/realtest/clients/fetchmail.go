package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// fetchmail polls once and returns the mailbox file that it wrote.
func (a *Account) fetchmail(t testing.TB, protocol string, s Service, options string) string {
	t.Helper()
	dir := t.TempDir()
	host, port := a.hostPort(s)
	// It knows no addresses in certificates, but another name of the server.
	verified := fmt.Sprintf("sslcertck sslcertfile %q sslcommonname localhost", a.Authorities)
	writeFile(t, filepath.Join(dir, "rc"), fmt.Sprintf(
		"poll %s service %s proto %s user %q pass %q %s %s mda \"cat >>%s/mbox\"", host, port, protocol, a.User, a.Password,
		a.by(`sslproto ""`, "sslproto TLS1.2+ "+verified, "ssl "+verified), options, dir))
	Run(t, dir, "fetchmail", "--nosyslog", "--pidfile", filepath.Join(dir, "pid"), "-f", filepath.Join(dir, "rc"))
	mbox, err := os.ReadFile(filepath.Join(dir, "mbox"))
	require.NoError(t, err)
	return string(mbox)
}

// FetchmailPOP3 has fetchmail take mail and delete it.
func (a *Account) FetchmailPOP3(t testing.TB) {
	realtest.Require(t, "fetchmail")
	a.Append(t, "INBOX", 0, 5)
	mbox := a.fetchmail(t, "POP3", a.POP3, "nokeep")
	for i := range 5 {
		require.Contains(t, mbox, fmt.Sprintf("body %d", i))
	}
	require.Empty(t, a.Look(t, "INBOX"), "nokeep deletes what was fetched")
}

// FetchmailIMAP has fetchmail take mail and keep it, which leaves the messages
// seen, and then what came after, which it deletes.
func (a *Account) FetchmailIMAP(t testing.TB) {
	realtest.Require(t, "fetchmail")
	a.Append(t, "INBOX", 0, 5)
	mbox := a.fetchmail(t, "IMAP", a.IMAP, "keep")
	seen := a.Look(t, "INBOX")
	for i := range 5 {
		require.Contains(t, mbox, fmt.Sprintf("body %d", i))
		require.Equal(t, `\Seen`, seen[fmt.Sprintf("%d@example.org", i)])
	}
	a.Append(t, "INBOX", 5, 7)
	mbox = a.fetchmail(t, "IMAP", a.IMAP, "nokeep expunge 1")
	require.NotContains(t, mbox, "body 4")
	require.Contains(t, mbox, "body 5")
	require.Contains(t, mbox, "body 6")
	require.Len(t, a.Look(t, "INBOX"), 5, "nokeep deletes what was fetched")
}
