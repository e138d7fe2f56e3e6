package clients

import (
	"crypto/sha1"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// OfflineIMAP has offlineimap synchronize mailboxes and flags both ways. Do not
// ask it for STARTTLS: its library (imaplib2) reads and writes around the
// handshake from two threads, and fails or hangs now and then with any server.
func (a *Account) OfflineIMAP(t testing.TB) {
	realtest.Require(t, "offlineimap")
	a.Append(t, "INBOX", 0, 40)
	require.NoError(t, a.connect(t).Create("Work/Project", nil).Wait())
	a.Append(t, "Work/Project", 100, 105)
	dir := t.TempDir()
	host, port := a.hostPort(a.IMAP)
	secured := ""
	if a.TLS != NoTLS {
		secured = "cert_fingerprint = " + a.fingerprint(t)
	}
	writeFile(t, filepath.Join(dir, "rc"), "[general]", "accounts = a", "metadata = "+dir+"/metadata", "ui = basic",
		"[Account a]", "localrepository = near", "remoterepository = far",
		"[Repository near]", "type = Maildir", "localfolders = "+dir+"/mail",
		"[Repository far]", "type = IMAP", "remotehost = "+host, "remoteport = "+port, "remoteuser = "+a.User, "remotepass = "+a.Password,
		"ssl = "+a.by("no", "", "yes"), "starttls = no", secured, "auth_mechanisms = LOGIN", "maxconnections = 2")
	sync := func() {
		t.Helper()
		out := Run(t, dir, "offlineimap", "-c", "rc", "-o")
		require.NotContains(t, out, "ERROR")
	}
	inbox := filepath.Join(dir, "mail", "INBOX")
	sync()
	files := a.requireEqualSides(t, inbox, 40)
	near, _ := lookMaildir(t, filepath.Join(dir, "mail", "Work.Project"))
	require.Equal(t, a.Look(t, "Work/Project"), near)

	makeMaildir(t, inbox, 40, 50)
	setLetters(t, files["1@example.org"], "FS")
	require.NoError(t, os.Remove(files["2@example.org"]))
	a.change(t, "INBOX", imap.FlagAnswered, "3@example.org")
	a.change(t, "INBOX", imap.FlagDeleted, "4@example.org")
	sync()
	a.requireEqualSides(t, inbox, 48)
	far := a.Look(t, "INBOX")
	require.Equal(t, `\Flagged \Seen`, far["1@example.org"])
	require.Equal(t, `\Answered`, far["3@example.org"])
	require.NotContains(t, far, "2@example.org")
	require.Contains(t, far, "49@example.org")
}

// fingerprint is how offlineimap is told of a certificate whose names hold the
// server's address, which it does not look for.
func (a *Account) fingerprint(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(a.Authorities)
	require.NoError(t, err)
	block, _ := pem.Decode(text)
	require.NotNil(t, block)
	return fmt.Sprintf("%x", sha1.Sum(block.Bytes))
}
