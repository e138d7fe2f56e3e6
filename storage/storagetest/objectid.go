package storagetest

import (
	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

var objectIDTests = map[string]func(*bench){
	"StayWithCopiesAndMoves": func(b *bench) {
		from, to := b.box("from"), b.box("to")
		from.add(3)
		before := b.emails(from, all())
		require.Len(b, before, 3)
		copied, err := from.Copy(b.ctx(), set(1, 2), "to")
		require.NoError(b, err)
		moved, err := from.Move(b.ctx(), set(3), "to")
		require.NoError(b, err)
		again, err := from.Copy(b.ctx(), set(1), "from")
		require.NoError(b, err)
		after := b.emails(to, all())
		require.Equal(b, before[1], after[copied.Dest[0]])
		require.Equal(b, before[2], after[copied.Dest[1]])
		require.Equal(b, before[3], after[moved.Dest[0]])
		require.Equal(b, before[1], b.emails(from, all())[again.Dest[0]])
	},
	"StayWhenFlagsChangeAndMailboxesAreRenamed": func(b *bench) {
		m := b.box("x")
		m.add(2)
		before := b.emails(m, all())
		m.store(imap.StoreFlagsAdd, all(), imap.FlagSeen, "$Work")
		require.NoError(b, b.account(alice).Rename(b.ctx(), "x", "y"))
		require.Equal(b, before, b.emails(b.box("y"), all()))
	},
	"TellContentsApart": func(b *bench) {
		m := b.box("x")
		m.add(100)
		_, err := m.Append(b.ctx(), storage.NewMessage{Body: body("")}, storage.NewMessage{Body: body("x")})
		require.NoError(b, err)
		seen := make(map[string]bool)
		for _, id := range b.emails(m, all()) {
			require.Regexp(b, `^[A-Za-z0-9_-]{1,255}$`, id)
			require.False(b, seen[id], "two messages are %s", id)
			seen[id] = true
		}
		require.Len(b, seen, 102)
	},
	"OfOneDeliveryDifferByPrefixAlone": func(b *bench) {
		target := func(box, prefix string) storage.Target {
			return storage.Target{User: alice, Mailbox: box, Create: true, Prefix: []byte(prefix)}
		}
		b.deliver("Subject: x\r\n\r\ntext\r\n", target("a", "A: 1\r\n"), target("b", "A: 1\r\n"), target("c", "A: 2\r\n"), target("d", ""))
		id := func(name string) string { return b.emails(b.box(name), all())[1] }
		require.Equal(b, id("a"), id("b"))
		require.NotEqual(b, id("a"), id("c"))
		require.NotEqual(b, id("a"), id("d"))
		require.NotEqual(b, id("c"), id("d"))
	},
	"AreThoseOfTheSet": func(b *bench) {
		m := b.box("x")
		m.add(300)
		m.expunge(7)
		require.Len(b, b.emails(m, all()), 299)
		few := b.emails(m, imap.UIDSet{{Start: 6, Stop: 8}, {Start: 200, Stop: 200}, {Start: 400, Stop: 500}})
		require.Len(b, few, 3)
		require.Equal(b, b.emails(m, set(8))[8], few[8])
		require.Empty(b, b.emails(m, nil))
		for range b.objectIDs(m).ObjectIDs(b.ctx(), all()) {
			break // whoever has seen enough may stop
		}
		for id, err := range b.objectIDs(m).ObjectIDs(cancelled(), all()) {
			require.Error(b, err)
			require.Zero(b, id)
		}
	},
	"OfADeletedMailboxAreNone": func(b *bench) {
		m := b.box("x")
		m.add(1)
		require.NoError(b, b.account(alice).Delete(b.ctx(), "x"))
		for id, err := range b.objectIDs(m).ObjectIDs(b.ctx(), all()) {
			require.ErrorIs(b, err, storage.ErrNoMailbox)
			require.Zero(b, id)
		}
	},
}

func (b *bench) objectIDs(m *box) storage.ObjectIDs {
	b.Helper()
	o, ok := storage.As[storage.ObjectIDs](m.Mailbox)
	if !ok {
		b.Skip("no ObjectIDs")
	}
	return o
}

// emails collects the names of the contents of a set of messages.
func (b *bench) emails(m *box, set imap.UIDSet) map[imap.UID]string {
	b.Helper()
	emails, last := make(map[imap.UID]string), imap.UID(0)
	for id, err := range b.objectIDs(m).ObjectIDs(b.ctx(), set) {
		require.NoError(b, err)
		require.Greater(b, id.UID, last, "UIDs ascend")
		last = id.UID
		emails[id.UID] = id.Email
	}
	return emails
}
