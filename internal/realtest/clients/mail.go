package clients

import (
	"bytes"
	"cmp"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/stretchr/testify/require"
)

// connect logs in to the server that has the mail.
func (a *Account) connect(t testing.TB) *imapclient.Client {
	t.Helper()
	dial := a.Behind
	if dial == nil {
		dial = func() (net.Conn, error) { return net.Dial("tcp", a.IMAP.Plain) }
	}
	nc, err := dial()
	require.NoError(t, err)
	require.NoError(t, nc.SetDeadline(time.Now().Add(2*time.Minute)))
	c := imapclient.New(nc, nil)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.Login(a.User, cmp.Or(a.BehindPassword, a.Password)).Wait())
	return c
}

// numbered is a message whose subject and Message-ID hold its number.
func numbered(i int) []byte {
	return fmt.Appendf(nil, "From: Someone <someone@example.org>\r\nTo: alice@example.test\r\nSubject: message %d\r\n"+
		"Date: Mon, 23 Nov 2026 10:%02d:00 +0000\r\nMessage-ID: <%d@example.org>\r\n\r\nbody %d\r\n%s", i, i%60, i, i,
		strings.Repeat("a line of text that the next one follows\r\n", i%7))
}

// Append puts the numbered messages from up to but without to into a mailbox.
func (a *Account) Append(t testing.TB, mailbox string, from, to int) {
	t.Helper()
	c := a.connect(t)
	defer c.Close()
	var pending []*imapclient.AppendCommand
	for i := from; i < to; i++ {
		content := numbered(i)
		upload := c.Append(mailbox, int64(len(content)), nil)
		_, err := upload.Write(content)
		require.NoError(t, err)
		require.NoError(t, upload.Close())
		pending = append(pending, upload)
	}
	for _, upload := range pending {
		_, err := upload.Wait()
		require.NoError(t, err)
	}
}

// Shelf is a mailbox seen from outside: the flags of each message by its
// Message-ID, sorted, in one string.
type Shelf map[string]string

// Look looks at a mailbox. A Message-ID that is there twice fails the test.
func (a *Account) Look(t testing.TB, mailbox string) Shelf {
	t.Helper()
	c := a.connect(t)
	defer c.Close()
	selected, err := c.Select(mailbox, &imap.SelectOptions{ReadOnly: true}).Wait()
	require.NoError(t, err)
	seen := Shelf{}
	if selected.NumMessages == 0 {
		return seen
	}
	messages, err := c.Fetch(imap.SeqSet{{Start: 1}}, &imap.FetchOptions{Flags: true, Envelope: true}).Collect()
	require.NoError(t, err)
	for _, m := range messages {
		requireOnce(t, seen, m.Envelope.MessageID)
		seen[m.Envelope.MessageID] = flagText(m.Flags)
	}
	return seen
}

// Bodies returns the content of every message of a mailbox, by UID.
func Bodies(t testing.TB, c *imapclient.Client, mailbox string) [][]byte {
	t.Helper()
	selected, err := c.Select(mailbox, nil).Wait()
	require.NoError(t, err)
	if selected.NumMessages == 0 {
		return nil
	}
	section := &imap.FetchItemBodySection{Peek: true}
	messages, err := c.Fetch(imap.SeqSet{{Start: 1}}, &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	require.NoError(t, err)
	var all [][]byte
	for _, m := range messages {
		all = append(all, m.FindBodySection(section))
	}
	return all
}

// With returns the messages in INBOX that contain a text.
func (a *Account) With(t testing.TB, text string) [][]byte {
	t.Helper()
	c := a.connect(t)
	defer c.Close()
	return slices.DeleteFunc(Bodies(t, c, "INBOX"), func(body []byte) bool { return !bytes.Contains(body, []byte(text)) })
}

// Arrives waits for a message in INBOX that contains a text, and returns it.
func (a *Account) Arrives(t testing.TB, text string) string {
	t.Helper()
	for deadline := time.Now().Add(waitLong); time.Now().Before(deadline); time.Sleep(5 * waitTick) {
		if with := a.With(t, text); len(with) > 0 {
			return string(with[0])
		}
	}
	t.Fatalf("%s gets no message with %q", a.User, text)
	return ""
}

// requireOnce fails the test when a message is on the shelf already. It names
// only that one.
func requireOnce(t testing.TB, seen Shelf, id string) {
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

// change stores flags on the messages with these Message-IDs.
func (a *Account) change(t testing.TB, mailbox string, flag imap.Flag, ids ...string) {
	t.Helper()
	c := a.connect(t)
	defer c.Close()
	_, err := c.Select(mailbox, nil).Wait()
	require.NoError(t, err)
	for _, id := range ids {
		found, err := c.UIDSearch(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Message-ID", Value: "<" + id + ">"}}}, nil).Wait()
		require.NoError(t, err)
		require.Len(t, found.AllUIDs(), 1, id)
		store := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{flag}, Silent: true}
		require.NoError(t, c.Store(imap.UIDSetNum(found.AllUIDs()...), store, nil).Close())
	}
	if flag == imap.FlagDeleted {
		require.NoError(t, c.Expunge().Close())
	}
}
