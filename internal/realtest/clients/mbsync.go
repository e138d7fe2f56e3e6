package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// Mbsync is mbsync (package isync), which keeps INBOX and a Maildir equal.
type Mbsync struct {
	account *Account
	t       testing.TB
	dir     string
	maildir string
	each    int
}

// NewMbsync puts a number of messages on each side.
func (a *Account) NewMbsync(t testing.TB, each int) *Mbsync {
	t.Helper()
	realtest.Require(t, "mbsync")
	dir := t.TempDir()
	m := &Mbsync{account: a, t: t, dir: dir, maildir: filepath.Join(dir, "mail", "INBOX"), each: each}
	host, port := a.hostPort(a.IMAP)
	writeFile(t, filepath.Join(dir, "rc"),
		"IMAPStore far", "Host "+host, "Port "+port, "User "+a.User, "Pass "+a.Password, "AuthMechs LOGIN",
		"SSLType "+a.by("None", "STARTTLS", "IMAPS"), a.by("", "CertificateFile "+a.Authorities+"\n", "CertificateFile "+a.Authorities+"\n"),
		"MaildirStore near", "Path "+dir+"/mail/", "Inbox "+m.maildir, "SubFolders Verbatim", "",
		"Channel all", "Far :far:", "Near :near:", "Patterns INBOX", "Create Both", "Expunge Both", "SyncState *", "")
	a.Append(t, "INBOX", 0, each)
	makeMaildir(t, m.maildir, each, 2*each)
	return m
}

// Kill starts a synchronization and kills it after a while; it reports whether
// that came before its end.
func (m *Mbsync) Kill(after time.Duration) bool {
	m.t.Helper()
	cmd, cancel := command(m.t, m.dir, "mbsync", "-c", "rc", "-a")
	defer cancel()
	require.NoError(m.t, cmd.Start())
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	timer.Stop()
	return err != nil && cmd.ProcessState.ExitCode() == -1
}

// SyncsBothWays synchronizes until all is equal, changes flags and deletes on
// both sides messages that came from both, and synchronizes again.
func (m *Mbsync) SyncsBothWays() {
	t, a := m.t, m.account
	t.Helper()
	Run(t, m.dir, "mbsync", "-c", "rc", "-a")
	files := a.requireEqualSides(t, m.maildir, 2*m.each)
	id := func(i int) string { return fmt.Sprintf("%d@example.org", i) }
	a.change(t, "INBOX", imap.FlagFlagged, id(1), id(m.each+1))
	a.change(t, "INBOX", imap.FlagDeleted, id(2), id(m.each+2))
	setLetters(t, files[id(3)], "RS")
	setLetters(t, files[id(m.each+3)], "F")
	require.NoError(t, os.Remove(files[id(4)]))
	setLetters(t, files[id(m.each+4)], "T")
	Run(t, m.dir, "mbsync", "-c", "rc", "-a")
	a.requireEqualSides(t, m.maildir, 2*m.each-4)
	far := a.Look(t, "INBOX")
	require.Equal(t, `\Answered \Seen`, far[id(3)])
	require.Equal(t, `\Flagged`, far[id(m.each+3)])
	require.Equal(t, `\Flagged`, far[id(m.each+1)])
	for _, gone := range []int{2, m.each + 2, 4, m.each + 4} {
		require.NotContains(t, far, id(gone))
	}
}
