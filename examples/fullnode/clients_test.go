package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/stretchr/testify/require"
)

// What the tests with other people's mail clients share: mail to show them,
// and a look at a mailbox from outside of them.

func (n *testNode) port(service string) string {
	_, port, _ := strings.Cut(n.address[service], ":")
	return port
}

// sockets returns the inodes of the sockets that the node holds: after its
// start, those that listen.
func (n *testNode) sockets() (inodes []string) {
	n.t.Helper()
	files := fmt.Sprintf("/proc/%d/fd", n.cmd.Process.Pid)
	entries, err := os.ReadDir(files)
	require.NoError(n.t, err)
	for _, e := range entries {
		target, _ := os.Readlink(filepath.Join(files, e.Name())) // fails for what was closed meanwhile
		if strings.HasPrefix(target, "socket:") {
			inodes = append(inodes, target)
		}
	}
	return inodes
}

// waitUntilUnused waits until the node is done with all its connections and
// holds no sockets but those that listen. The kernel's table of connections
// could not tell: when a program is killed with answers unread, the kernel
// resets its connection and forgets it at once, but the node still serves the
// commands that it had received by then. Connections that it has not accepted
// yet have brought none: clients wait for the greeting.
func (n *testNode) waitUntilUnused(listening []string) {
	n.t.Helper()
	require.Eventually(n.t, func() bool {
		return !slices.ContainsFunc(n.sockets(), func(s string) bool { return !slices.Contains(listening, s) })
	}, 30*time.Second, 5*time.Millisecond)
}

// numbered is a message whose subject and Message-ID hold its number.
func numbered(i int) []byte {
	return fmt.Appendf(nil, "From: Someone <someone@example.org>\r\nTo: alice@example.test\r\nSubject: message %d\r\n"+
		"Date: Mon, 23 Nov 2026 10:%02d:00 +0000\r\nMessage-ID: <%d@example.org>\r\n\r\nbody %d\r\n%s", i, i%60, i, i,
		strings.Repeat("a line of text that the next one follows\r\n", i%7))
}

// appendNumbered appends the messages from up to but without to, pipelined.
func (n *testNode) appendNumbered(mailbox string, from, to int) {
	n.t.Helper()
	c := n.imapClient()
	defer c.Close()
	var pending []*imapclient.AppendCommand
	for i := from; i < to; i++ {
		content := numbered(i)
		a := c.Append(mailbox, int64(len(content)), nil)
		_, err := a.Write(content)
		require.NoError(n.t, err)
		require.NoError(n.t, a.Close())
		pending = append(pending, a)
	}
	for _, a := range pending {
		_, err := a.Wait()
		require.NoError(n.t, err)
	}
}

// shelf is a mailbox seen from outside: the flags of each message by its
// Message-ID, sorted, in one string.
type shelf map[string]string

// shelf looks at a mailbox. A Message-ID that is there twice fails the test.
func (n *testNode) shelf(mailbox string) shelf {
	n.t.Helper()
	c := n.imapClient()
	defer c.Close()
	selected, err := c.Select(mailbox, &imap.SelectOptions{ReadOnly: true}).Wait()
	require.NoError(n.t, err)
	seen := shelf{}
	if selected.NumMessages == 0 {
		return seen
	}
	messages, err := c.Fetch(imap.SeqSet{{Start: 1}}, &imap.FetchOptions{Flags: true, Envelope: true}).Collect()
	require.NoError(n.t, err)
	for _, m := range messages {
		requireOnce(n.t, seen, m.Envelope.MessageID)
		seen[m.Envelope.MessageID] = flagText(m.Flags)
	}
	return seen
}

// requireOnce fails the test when a message is on the shelf already. It names
// only that one.
func requireOnce(t testing.TB, seen shelf, id string) {
	t.Helper()
	_, twice := seen[id]
	require.False(t, twice, "%s is there twice", id)
}

func flagText(flags []imap.Flag) string {
	var words []string
	for _, f := range flags {
		if f != `\Recent` {
			words = append(words, string(f))
		}
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// maildirFlags are the letters of a Maildir file name that the tests use.
var maildirFlags = map[rune]imap.Flag{
	'D': imap.FlagDraft, 'F': imap.FlagFlagged, 'R': imap.FlagAnswered, 'S': imap.FlagSeen, 'T': imap.FlagDeleted,
}

// maildirShelf is shelf for a Maildir; files says where each message is.
func maildirShelf(t testing.TB, dir string) (seen shelf, files map[string]string) {
	t.Helper()
	seen, files = shelf{}, map[string]string{}
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

// change stores flags on the messages with these Message-IDs.
func (n *testNode) change(mailbox string, flag imap.Flag, ids ...string) {
	n.t.Helper()
	c := n.imapClient()
	defer c.Close()
	_, err := c.Select(mailbox, nil).Wait()
	require.NoError(n.t, err)
	for _, id := range ids {
		found, err := c.UIDSearch(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Message-ID", Value: "<" + id + ">"}}}, nil).Wait()
		require.NoError(n.t, err)
		require.Len(n.t, found.AllUIDs(), 1, id)
		store := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{flag}, Silent: true}
		require.NoError(n.t, c.Store(imap.UIDSetNum(found.AllUIDs()...), store, nil).Close())
	}
	if flag == imap.FlagDeleted {
		require.NoError(n.t, c.Expunge().Close())
	}
}

// writeFile writes a client's configuration.
func writeFile(t testing.TB, file string, lines ...string) {
	t.Helper()
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
}
