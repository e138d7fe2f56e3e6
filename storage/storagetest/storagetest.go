// Package storagetest checks that a store keeps the promises of package
// storage.
//
// Run drives a store through every promise that can be seen from outside while
// it lives; RunDurable cuts its power, too. A test beside storage/memory breaks
// that store in many ways, one at a time, and shows that Run and RunDurable
// notice each.
package storagetest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// Open makes an empty store. It is closed by t.Cleanup.
type Open func(t *testing.T) storage.Store

// Run checks every promise on stores that open makes.
func Run(t *testing.T, open Open) {
	for _, group := range []struct {
		name  string
		tests map[string]func(*bench)
	}{
		{"Deliver", deliverTests},
		{"Account", accountTests},
		{"Rename", renameTests},
		{"Kinds", kindTests},
		{"Public", publicTests},
		{"ACLs", aclTests},
		{"Annotations", annotationTests},
		{"Shared", sharedTests},
		{"Append", appendTests},
		{"Messages", messagesTests},
		{"Content", contentTests},
		{"Flags", flagsTests},
		{"Expunge", expungeTests},
		{"Copy", copyTests},
		{"Watch", watchTests},
		{"Feed", feedTests},
		{"Powers", powerTests},
		{"Freeze", freezeTests},
		{"ObjectIDs", objectIDTests},
		{"Replace", replaceTests},
		{"Text", textTests},
		{"Sequence", sequenceTests},
		{"Concurrent", concurrentTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for name, f := range group.tests {
				t.Run(name, func(t *testing.T) { f(&bench{T: t, Store: open(t)}) })
			}
		})
	}
}

// bench is a store under test with short words for what tests do all the time.
// Everything that must not fail ends the test when it does.
type bench struct {
	*testing.T
	storage.Store
}

const alice = "alice@example.test"

func (b *bench) ctx() context.Context { return b.T.Context() }

func (b *bench) account(user string) storage.Account {
	b.Helper()
	a, err := b.Account(b.ctx(), user)
	require.NoError(b, err)
	return a
}

// box opens a mailbox of alice and makes it when it is missing.
func (b *bench) box(name string) *box {
	b.Helper()
	a := b.account(alice)
	m, err := a.Mailbox(b.ctx(), name)
	if err != nil {
		require.ErrorIs(b, err, storage.ErrNoMailbox)
		require.NoError(b, a.Create(b.ctx(), name, storage.NewMailbox{}))
		m, err = a.Mailbox(b.ctx(), name)
		require.NoError(b, err)
	}
	return &box{m, b}
}

// deliver delivers one text to targets and wants all of them served.
func (b *bench) deliver(text string, targets ...storage.Target) []storage.Receipt {
	b.Helper()
	r, err := b.Deliver(b.ctx(), &storage.Delivery{Body: body(text), Targets: targets})
	require.NoError(b, err)
	require.Len(b, r, len(targets))
	for _, receipt := range r {
		require.NoError(b, receipt.Err)
	}
	return r
}

// names lists the names of an account.
func (b *bench) names(a storage.Account) (names []string) {
	b.Helper()
	for _, i := range b.infos(a) {
		names = append(names, i.Name)
	}
	return names
}

func (b *bench) infos(a storage.Account) []storage.MailboxInfo {
	b.Helper()
	list, err := a.Mailboxes(b.ctx())
	require.NoError(b, err)
	return list
}

func (b *bench) info(a storage.Account, name string) storage.MailboxInfo {
	b.Helper()
	list := b.infos(a)
	i := slices.IndexFunc(list, func(m storage.MailboxInfo) bool { return m.Name == name })
	require.GreaterOrEqual(b, i, 0, "no mailbox %q in %v", name, list)
	return list[i]
}

// box is a mailbox under test.
type box struct {
	storage.Mailbox
	b *bench
}

func (m *box) status() storage.Status {
	m.b.Helper()
	s, err := m.Status(m.b.ctx())
	require.NoError(m.b, err)
	return s
}

// list collects the messages since a ModSeq and checks their order.
func (m *box) list(since uint64) (list []storage.Message) {
	m.b.Helper()
	for msg, err := range m.Messages(m.b.ctx(), since) {
		require.NoError(m.b, err)
		if n := len(list); n > 0 {
			require.Greater(m.b, msg.UID, list[n-1].UID, "UIDs ascend")
		}
		require.Greater(m.b, msg.ModSeq, since)
		list = append(list, msg)
	}
	return list
}

func (m *box) uids() (list []imap.UID) {
	m.b.Helper()
	for _, msg := range m.list(0) {
		list = append(list, msg.UID)
	}
	return list
}

func (m *box) message(uid imap.UID) storage.Message {
	m.b.Helper()
	list := m.list(0)
	i := slices.IndexFunc(list, func(msg storage.Message) bool { return msg.UID == uid })
	require.GreaterOrEqual(m.b, i, 0, "no message %d", uid)
	return list[i]
}

// add appends n small messages; fill tells the flags of each.
func (m *box) add(n int, flags ...imap.Flag) []imap.UID {
	m.b.Helper()
	msgs := make([]storage.NewMessage, n)
	for i := range msgs {
		msgs[i] = storage.NewMessage{Body: body(fmt.Sprintf("Subject: %d\r\n\r\ntext %d\r\n", i, i)), Flags: storage.NewFlags(flags...)}
	}
	given, err := m.Append(m.b.ctx(), msgs...)
	require.NoError(m.b, err)
	require.Len(m.b, given, n)
	return given
}

func (m *box) text(uid imap.UID) string {
	m.b.Helper()
	text, err := readMessage(m.b.ctx(), m, uid)
	require.NoError(m.b, err)
	return text
}

func (m *box) store(op imap.StoreFlagsOp, set imap.UIDSet, flags ...imap.Flag) []storage.Message {
	m.b.Helper()
	changed, failed, err := m.StoreFlags(m.b.ctx(), storage.FlagUpdate{UIDs: set, Op: op, Flags: storage.NewFlags(flags...)})
	require.NoError(m.b, err)
	require.Empty(m.b, failed)
	return changed
}

func (m *box) expunge(uids ...imap.UID) imap.UIDSet {
	m.b.Helper()
	set, err := m.Expunge(m.b.ctx(), imap.UIDSetNum(uids...))
	require.NoError(m.b, err)
	return set
}

func (m *box) expunged(since uint64) imap.UIDSet {
	m.b.Helper()
	set, err := m.Expunged(m.b.ctx(), since)
	require.NoError(m.b, err)
	return set
}

// check compares the counters of a mailbox with what is listed.
func (m *box) check() {
	m.b.Helper()
	s := m.status()
	var messages, unseen, deleted uint32
	var size int64
	for _, msg := range m.list(0) {
		messages++
		size += msg.Size
		if !msg.Flags.Has(storage.Seen) {
			unseen++
		}
		if msg.Flags.Has(storage.Deleted) {
			deleted++
		}
		require.Less(m.b, msg.UID, s.UIDNext)
		require.LessOrEqual(m.b, msg.ModSeq, s.HighestModSeq)
	}
	require.Equal(m.b, []any{messages, unseen, deleted, size}, []any{s.Messages, s.Unseen, s.Deleted, s.Size})
}

func readMessage(ctx context.Context, m storage.Mailbox, uid imap.UID) (string, error) {
	c, err := m.Open(ctx, uid)
	if err != nil {
		return "", err
	}
	defer c.Close()
	text, err := io.ReadAll(message.NewReader(c))
	return string(text), err
}

func body(text string) message.Body { return message.FromBytes([]byte(text)) }

func all() imap.UIDSet { return imap.UIDSet{{Start: 1, Stop: 0}} }

func set(uids ...imap.UID) imap.UIDSet { return imap.UIDSetNum(uids...) }

var noon = time.Date(2026, 2, 3, 12, 0, 0, 0, time.UTC)
