package clients

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"
)

// maildirFlags are the letters of a Maildir file name that the drivers use.
var maildirFlags = map[rune]imap.Flag{
	'D': imap.FlagDraft, 'F': imap.FlagFlagged, 'R': imap.FlagAnswered, 'S': imap.FlagSeen, 'T': imap.FlagDeleted,
}

// lookMaildir is Account.Look for a Maildir; files says where each message is.
func lookMaildir(t testing.TB, dir string) (seen Shelf, files map[string]string) {
	t.Helper()
	seen, files = Shelf{}, map[string]string{}
	for _, file := range maildirFiles(t, dir) {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		id := idOf(content)
		requireOnce(t, seen, id)
		var flags []imap.Flag
		_, letters, _ := strings.Cut(filepath.Base(file), ":2,")
		for _, letter := range letters {
			if f, ok := maildirFlags[letter]; ok {
				flags = append(flags, f)
			}
		}
		seen[id], files[id] = flagText(flags), file
	}
	return seen, files
}

// requireEqualSides compares INBOX with a Maildir.
func (a *Account) requireEqualSides(t testing.TB, maildir string, messages int) (files map[string]string) {
	t.Helper()
	far := a.Look(t, "INBOX")
	near, files := lookMaildir(t, maildir)
	require.Equal(t, far, near)
	require.Len(t, far, messages)
	return files
}

func maildirFiles(t testing.TB, dir string) []string {
	t.Helper()
	var all []string
	for _, sub := range []string{"cur", "new"} {
		files, err := filepath.Glob(filepath.Join(dir, sub, "*"))
		require.NoError(t, err)
		all = append(all, files...)
	}
	return all
}

// idOf returns what stands in a message's Message-ID, without brackets.
func idOf(content []byte) string {
	_, rest, _ := bytes.Cut(content, []byte("Message-ID: <"))
	id, _, _ := bytes.Cut(rest, []byte(">"))
	return string(id)
}

// makeMaildir makes a Maildir with the numbered messages from up to but
// without to.
func makeMaildir(t testing.TB, dir string, from, to int) {
	t.Helper()
	for _, sub := range []string{"cur", "new", "tmp"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, sub), 0o700))
	}
	for i := from; i < to; i++ {
		// Files of a Maildir end their lines with LF alone.
		content := bytes.ReplaceAll(numbered(i), []byte("\r\n"), []byte("\n"))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "new", fmt.Sprintf("1795000000.%d.test", i)), content, 0o600))
	}
}

// setLetters gives a file of a Maildir the flags of letters, in sorted order.
func setLetters(t testing.TB, file, letters string) {
	t.Helper()
	name, _, _ := strings.Cut(filepath.Base(file), ":")
	dir := filepath.Dir(filepath.Dir(file))
	require.NoError(t, os.Rename(file, filepath.Join(dir, "cur", name+":2,"+letters)))
}
