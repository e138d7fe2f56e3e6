package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

func TestOfflineIMAPSyncsMailAndFlagsBothWays(t *testing.T) {
	realtest.Require(t, "offlineimap")
	n := startNode(t, "")
	n.appendNumbered("INBOX", 0, 40)
	require.NoError(t, n.imapClient().Create("Work/Project", nil).Wait())
	n.appendNumbered("Work/Project", 100, 105)
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "rc"), "[general]", "accounts = a", "metadata = "+dir+"/metadata", "ui = basic",
		"[Account a]", "localrepository = near", "remoterepository = far",
		"[Repository near]", "type = Maildir", "localfolders = "+dir+"/mail",
		"[Repository far]", "type = IMAP", "remotehost = 127.0.0.1", "remoteport = "+n.port("IMAP"), "remoteuser = "+n.user, "remotepass = "+n.password,
		"ssl = no", "starttls = no", "auth_mechanisms = LOGIN", "maxconnections = 2")
	sync := func() {
		t.Helper()
		out := runTool(t, dir, "offlineimap", "-c", "rc", "-o")
		require.NotContains(t, out, "ERROR")
	}
	inbox := filepath.Join(dir, "mail", "INBOX")
	sync()
	files := requireEqualSides(n, inbox, 40)
	near, _ := maildirShelf(t, filepath.Join(dir, "mail", "Work.Project"))
	require.Equal(t, n.shelf("Work/Project"), near)

	makeMaildir(t, inbox, 40, 50)
	setLetters(t, files["1@example.org"], "FS")
	require.NoError(t, os.Remove(files["2@example.org"]))
	n.change("INBOX", imap.FlagAnswered, "3@example.org")
	n.change("INBOX", imap.FlagDeleted, "4@example.org")
	sync()
	requireEqualSides(n, inbox, 48)
	far := n.shelf("INBOX")
	require.Equal(t, `\Flagged \Seen`, far["1@example.org"])
	require.Equal(t, `\Answered`, far["3@example.org"])
	require.NotContains(t, far, "2@example.org")
	require.Contains(t, far, "49@example.org")
}
