package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// nobody is the user and group that getmail runs as where the tests run as
// root: it delivers nothing as root.
const nobody = 65534

func TestGetmailFetchesAndDeletes(t *testing.T) {
	realtest.Require(t, "getmail")
	n := startNode(t, "")
	n.appendNumbered("INBOX", 0, 6)
	// The directories of t.TempDir may be closed to others.
	dir, err := os.MkdirTemp("", "getmail")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	maildir := filepath.Join(dir, "mail")
	makeMaildir(t, maildir, 0, 0)
	writeFile(t, filepath.Join(dir, "getmailrc"), "[retriever]", "type = SimpleIMAPRetriever", "server = 127.0.0.1", "port = "+n.port("IMAP"),
		"username = "+n.user, "password = "+n.password, `mailboxes = ("INBOX",)`,
		"[destination]", "type = Maildir", "path = "+maildir+"/",
		"[options]", "delete = true", "read_all = true", "delivered_to = false", "received = false")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "getmail", "--getmaildir="+dir)
	cmd.Env = append(os.Environ(), "HOME="+dir)
	if os.Getuid() == 0 {
		require.NoError(t, filepath.Walk(dir, func(file string, _ os.FileInfo, err error) error {
			require.NoError(t, err)
			return os.Chown(file, nobody, nobody)
		}))
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	got, _ := maildirShelf(t, maildir)
	require.Len(t, got, 6)
	require.Contains(t, got, "5@example.org")
	require.Empty(t, n.shelf("INBOX"), "delete = true")
}
