package clients

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// nobody is the user and group that getmail runs as where the tests run as
// root: it delivers nothing as root.
const nobody = 65534

// GetmailIMAP has getmail take all mail from INBOX and delete it.
func (a *Account) GetmailIMAP(t testing.TB) { a.getmail(t, "IMAP", a.IMAP, `mailboxes = ("INBOX",)`) }

// GetmailPOP3 has getmail take all mail and delete it.
func (a *Account) GetmailPOP3(t testing.TB) { a.getmail(t, "POP3", a.POP3, "") }

func (a *Account) getmail(t testing.TB, protocol string, s Service, option string) {
	realtest.Require(t, "getmail")
	a.Append(t, "INBOX", 0, 6)
	// The directories of t.TempDir may be closed to others.
	dir, err := os.MkdirTemp("", "getmail")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	maildir := filepath.Join(dir, "mail")
	makeMaildir(t, maildir, 0, 0)
	host, port := a.hostPort(s)
	secured := ""
	if a.TLS != NoTLS {
		pem, err := os.ReadFile(a.Authorities)
		require.NoError(t, err)
		writeFile(t, filepath.Join(dir, "ca.pem"), string(pem))
		secured = "ca_certs = " + dir + "/ca.pem" + a.by("", "\nuse_starttls = true", "")
	}
	writeFile(t, filepath.Join(dir, "getmailrc"), "[retriever]", "type = Simple"+protocol+a.by("", "", "SSL")+"Retriever",
		"server = "+host, "port = "+port, "username = "+a.User, "password = "+a.Password, option, secured,
		"[destination]", "type = Maildir", "path = "+maildir+"/",
		"[options]", "delete = true", "read_all = true", "delivered_to = false", "received = false")
	cmd, cancel := command(t, dir, "getmail", "--getmaildir="+dir)
	defer cancel()
	if os.Getuid() == 0 {
		require.NoError(t, filepath.Walk(dir, func(file string, _ os.FileInfo, err error) error {
			require.NoError(t, err)
			return os.Chown(file, nobody, nobody)
		}))
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	got, _ := lookMaildir(t, maildir)
	require.Len(t, got, 6, "%s", out)
	require.Contains(t, got, "5@example.org")
	require.Empty(t, a.Look(t, "INBOX"), "delete = true")
}
