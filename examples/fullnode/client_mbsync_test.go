package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// mbsyncInbox configures mbsync (package isync) to keep the node's INBOX and
// the Maildir DIR/mail/INBOX equal, and returns the Maildir.
func mbsyncInbox(n *testNode, dir string) string {
	writeFile(n.t, filepath.Join(dir, "rc"),
		"IMAPStore far", "Host 127.0.0.1", "Port "+n.port("IMAP"), "User "+n.user, "Pass "+n.password, "SSLType None", "AuthMechs LOGIN", "",
		"MaildirStore near", "Path "+dir+"/mail/", "Inbox "+dir+"/mail/INBOX", "SubFolders Verbatim", "",
		"Channel all", "Far :far:", "Near :near:", "Patterns INBOX", "Create Both", "Expunge Both", "SyncState *", "")
	return filepath.Join(dir, "mail", "INBOX")
}

// requireEqualSides compares the node's INBOX with the Maildir.
func requireEqualSides(n *testNode, maildir string, messages int) (files map[string]string) {
	n.t.Helper()
	far := n.shelf("INBOX")
	near, files := maildirShelf(n.t, maildir)
	require.Equal(n.t, far, near)
	require.Len(n.t, far, messages)
	return files
}

func TestMbsyncSyncsBothWaysThoughKilledAtRandomPoints(t *testing.T) {
	realtest.Require(t, "mbsync")
	const each = 1000
	n := startNode(t, "")
	listening := n.sockets()
	dir := t.TempDir()
	maildir := mbsyncInbox(n, dir)
	n.appendNumbered("INBOX", 0, each)
	makeMaildir(t, maildir, each, 2*each)

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	killed := 0
	for range 8 {
		if killMbsync(t, dir, time.Duration(20+random.IntN(600))*time.Millisecond) {
			killed++
		}
		// mbsync looks once, at its start, for the messages that it was
		// appending when it was killed. What it had sent and the node stores
		// only after that look, it appends again.
		n.waitUntilUnused(listening)
	}
	t.Logf("killed %d times", killed)
	runTool(t, dir, "mbsync", "-c", "rc", "-a")
	files := requireEqualSides(n, maildir, 2*each)

	// Flags and deletions on both sides, on messages that came from both.
	id := func(i int) string { return fmt.Sprintf("%d@example.org", i) }
	n.change("INBOX", imap.FlagFlagged, id(1), id(each+1))
	n.change("INBOX", imap.FlagDeleted, id(2), id(each+2))
	setLetters(t, files[id(3)], "RS")
	setLetters(t, files[id(each+3)], "F")
	require.NoError(t, os.Remove(files[id(4)]))
	setLetters(t, files[id(each+4)], "T")
	runTool(t, dir, "mbsync", "-c", "rc", "-a")
	requireEqualSides(n, maildir, 2*each-4)
	far := n.shelf("INBOX")
	require.Equal(t, `\Answered \Seen`, far[id(3)])
	require.Equal(t, `\Flagged`, far[id(each+3)])
	require.Equal(t, `\Flagged`, far[id(each+1)])
	for _, gone := range []int{2, each + 2, 4, each + 4} {
		require.NotContains(t, far, id(gone))
	}
}

// killMbsync starts a synchronization and kills it after a while; it reports
// whether that came before its end.
func killMbsync(t *testing.T, dir string, after time.Duration) bool {
	t.Helper()
	cmd := exec.Command("mbsync", "-c", "rc", "-a")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir)
	require.NoError(t, cmd.Start())
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	timer.Stop()
	return err != nil && cmd.ProcessState.ExitCode() == -1
}
