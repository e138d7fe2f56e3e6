package storagetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

var deliverTests = map[string]func(*bench){
	"ToInboxOfANewAccount": func(b *bench) {
		r := b.deliver("Subject: x\r\n\r\nhello\r\n", storage.Target{User: alice})
		m := b.box(storage.Inbox)
		require.Equal(b, m.ID(), r[0].Mailbox)
		require.Equal(b, m.status().UIDValidity, r[0].UIDValidity)
		require.Equal(b, []imap.UID{r[0].UID}, m.uids())
		require.Equal(b, "Subject: x\r\n\r\nhello\r\n", m.text(r[0].UID))
		m.check()
	},
	"EachTargetHasItsPrefixFlagsAndTheSameDate": func(b *bench) {
		r, err := b.Deliver(b.ctx(), &storage.Delivery{
			Body: body("\r\nx"), Date: noon,
			Targets: []storage.Target{
				{User: alice, Prefix: []byte("Delivered-To: a\r\n")},
				{User: alice, Mailbox: "List", Create: true, Flags: storage.NewFlags(imap.FlagSeen, "list"), Prefix: []byte("Delivered-To: bb\r\n")},
				{User: alice},
			},
		})
		require.NoError(b, err)
		inbox, list := b.box("INBOX"), b.box("List")
		require.Equal(b, "Delivered-To: a\r\n\r\nx", inbox.text(r[0].UID))
		require.Equal(b, "Delivered-To: bb\r\n\r\nx", list.text(r[1].UID))
		require.Equal(b, "\r\nx", inbox.text(r[2].UID))
		require.Greater(b, r[2].UID, r[0].UID, "one mailbox twice gives two messages")
		msg := list.message(r[1].UID)
		require.True(b, msg.Flags.Equal(storage.NewFlags(imap.FlagSeen, "LIST")), "%v", msg.Flags)
		require.True(b, noon.Equal(msg.Date))
		require.Equal(b, int64(len("Delivered-To: bb\r\n\r\nx")), msg.Size)
		require.True(b, noon.Equal(inbox.message(r[0].UID).Date))
		inbox.check()
		list.check()
	},
	"ABadTargetStopsNoOther": func(b *bench) {
		r, err := b.Deliver(b.ctx(), &storage.Delivery{Body: body("x"), Targets: []storage.Target{
			{User: alice, Mailbox: "Missing"},
			{User: alice, Mailbox: "a//b", Create: true},
			{User: alice},
			{User: ""},
			{User: alice, Flags: manyKeywords()},
			{User: alice, Mailbox: "a//b"},
		}})
		require.NoError(b, err)
		require.ErrorIs(b, r[0].Err, storage.ErrNoMailbox)
		require.ErrorIs(b, r[1].Err, storage.ErrBadName)
		require.NoError(b, r[2].Err)
		require.ErrorIs(b, r[3].Err, storage.ErrBadName)
		require.ErrorIs(b, r[4].Err, storage.ErrLimit)
		require.ErrorIs(b, r[5].Err, storage.ErrNoMailbox)
		require.Equal(b, []imap.UID{r[2].UID}, b.box("INBOX").uids())
	},
	"OnlyBadTargetsAreReceiptsToo": func(b *bench) {
		r, err := b.Deliver(b.ctx(), &storage.Delivery{Body: body("x"), Targets: []storage.Target{{User: alice, Mailbox: "Missing"}}})
		require.NoError(b, err)
		require.Len(b, r, 1)
		require.ErrorIs(b, r[0].Err, storage.ErrNoMailbox)
		r, err = b.Deliver(b.ctx(), &storage.Delivery{Body: body("x")})
		require.NoError(b, err)
		require.Empty(b, r)
	},
	"MakesMailboxesWithTheirParents": func(b *bench) {
		b.deliver("x", storage.Target{User: alice, Mailbox: "A/b/c", Create: true})
		a := b.account(alice)
		require.Subset(b, b.names(a), []string{"A", "A/b", "A/b/c"})
		require.True(b, b.info(a, "A/b/c").Subscribed)
		b.box("A/b/c").check()
	},
	"MakesAMailboxOnceForTwoTargets": func(b *bench) {
		r := b.deliver("x", storage.Target{User: alice, Mailbox: "New", Create: true}, storage.Target{User: alice, Mailbox: "New", Create: true})
		require.Equal(b, r[0].Mailbox, r[1].Mailbox)
		require.Len(b, b.box("New").uids(), 2)
	},
	"NamesAreCleaned": func(b *bench) {
		b.box("INBOX/caf\u00e9")
		r := b.deliver("x", storage.Target{User: alice, Mailbox: "inBox"}, storage.Target{User: alice, Mailbox: "inbox/cafe\u0301"})
		require.Equal(b, b.box("INBOX").ID(), r[0].Mailbox)
		require.Equal(b, b.box("INBOX/caf\u00e9").ID(), r[1].Mailbox)
	},
	"WithoutADateItIsNow": func(b *bench) {
		before := time.Now().Add(-time.Second)
		r := b.deliver("x", storage.Target{User: alice})
		require.WithinRange(b, b.box("INBOX").message(r[0].UID).Date, before, time.Now())
	},
	"AnEmptyMessage": func(b *bench) {
		r := b.deliver("", storage.Target{User: alice})
		m := b.box("INBOX")
		require.Equal(b, "", m.text(r[0].UID))
		p, err := m.Index(b.ctx(), r[0].UID)
		require.NoError(b, err)
		require.NotNil(b, p.Envelope)
	},
	"AnUnreadableBodyStoresNothing": func(b *bench) {
		_, err := b.Deliver(b.ctx(), &storage.Delivery{Body: broken{}, Targets: []storage.Target{{User: alice}}})
		require.ErrorIs(b, err, errBroken)
		require.Empty(b, b.box("INBOX").uids())
		b.box("INBOX").check()
	},
	"ACancelledContextStoresNothing": func(b *bench) {
		_, err := b.Deliver(cancelled(), &storage.Delivery{Body: body("x"), Targets: []storage.Target{{User: alice}}})
		require.Error(b, err)
		require.Empty(b, b.box("INBOX").uids())
	},
	"ToAThousandMailboxes": func(b *bench) {
		targets := make([]storage.Target, 1000)
		for i := range targets {
			targets[i].User = fmt.Sprintf("user%d@example.test", i)
		}
		b.deliver("Subject: all\r\n\r\nx", targets...)
		for _, i := range []int{0, 500, 999} {
			m, err := b.account(targets[i].User).Mailbox(b.ctx(), "INBOX")
			require.NoError(b, err)
			text, err := readMessage(b.ctx(), m, 1)
			require.NoError(b, err)
			require.Equal(b, "Subject: all\r\n\r\nx", text)
		}
	},
}

var errBroken = errors.New("unreadable")

// broken is a body that can't be read.
type broken struct{}

func (broken) Size() int64                       { return 100 }
func (broken) ReadAt([]byte, int64) (int, error) { return 0, errBroken }

var _ message.Body = broken{}

func manyKeywords() storage.Flags {
	var f []imap.Flag
	for i := range storage.MaxKeywords + 1 {
		f = append(f, imap.Flag(fmt.Sprintf("k%d", i)))
	}
	return storage.NewFlags(f...)
}
