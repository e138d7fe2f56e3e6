package storagetest

import (
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

func purgeByUse(b *retainBench) {
	names := []string{"Trash", "Junk", "Sent", "INBOX", "Trash/below"}
	for _, name := range names {
		m := b.box(name)
		_, err := m.Append(b.ctx(), storage.NewMessage{Body: body("old"), Date: noon.AddDate(-10, 0, 0)}, storage.NewMessage{Body: body("new"), Date: noon.AddDate(10, 0, 0)})
		require.NoError(b, err)
	}
	b.pass(10 * day)
	for _, name := range names {
		b.box(name).add(1)
	}
	count := func() (n []int) {
		for _, name := range names {
			n = append(n, len(b.box(name).uids()))
			b.box(name).check()
		}
		return n
	}
	b.pass(10*day - time.Second)
	require.Zero(b, b.purge())
	b.pass(time.Second)
	require.Equal(b, 2, b.purge())
	require.Equal(b, []int{3, 1, 3, 3, 3}, count(), "of Junk after 20 days")
	b.pass(10 * day)
	require.Equal(b, 3, b.purge())
	require.Equal(b, []int{1, 0, 3, 3, 3}, count(), "of Trash after 30")
	require.Equal(b, []imap.UID{3}, b.box("Trash").uids())
	require.Equal(b, imap.UIDSet{{Start: 1, Stop: 2}}, b.box("Trash").expunged(0), "sessions hear of it")
	require.Zero(b, b.purge())
	b.pass(999 * day)
	require.Equal(b, 1, b.purge())
	require.Equal(b, []int{0, 0, 3, 3, 3}, count())
}

func purgedComesBack(b *retainBench) {
	m := b.box("Trash")
	m.add(1200)
	b.pass(30 * day)
	require.Equal(b, 1200, b.purge())
	list := b.retained(alice)
	require.Len(b, list, 1200)
	require.Equal(b, 1, b.restore("", list[700].ID))
	require.Equal(b, []imap.UID{1201}, m.uids())
	require.Zero(b, b.purge(), "it came just now")
	b.pass(30 * day)
	require.Equal(b, 1, b.purge())
}

func movingStartsAnew(b *retainBench) {
	inbox, trash := b.box("INBOX"), b.box("Trash")
	inbox.add(2)
	b.pass(99 * day)
	_, err := inbox.Move(b.ctx(), set(1), "Trash")
	require.NoError(b, err)
	require.Zero(b, b.purge())
	b.pass(29 * day)
	_, err = inbox.Copy(b.ctx(), set(2), "Trash")
	require.NoError(b, err)
	b.pass(day)
	require.Equal(b, 1, b.purge())
	require.Equal(b, []imap.UID{2}, trash.uids())
	require.Equal(b, []imap.UID{2}, inbox.uids())
}

func saveDates(b *retainBench) {
	m := b.box("x")
	m.add(70)
	b.pass(time.Hour + 300*time.Millisecond)
	m.add(70)
	b.pass(time.Hour)
	m.expunge(70)
	_, err := m.Copy(b.ctx(), set(1), "x")
	require.NoError(b, err)
	first, second, third := noon, noon.Add(time.Hour), noon.Add(2*time.Hour)
	list := b.saveDates(m, imap.UIDSet{{Start: 200, Stop: 130}, {Start: 69, Stop: 71}, {Start: 0, Stop: 0}})
	want := []storage.SaveDate{{UID: 69, Date: first}, {UID: 71, Date: second}}
	for uid := imap.UID(130); uid <= 140; uid++ {
		want = append(want, storage.SaveDate{UID: uid, Date: second})
	}
	want = append(want, storage.SaveDate{UID: 141, Date: third})
	require.Len(b, list, len(want))
	for i := range want {
		require.Equal(b, want[i].UID, list[i].UID)
		require.True(b, want[i].Date.Equal(list[i].Date), "%v", list[i])
	}
	require.Len(b, b.saveDates(m, all()), 140)
	require.Empty(b, b.saveDates(m, set(999)))
	require.NoError(b, b.account(alice).Delete(b.ctx(), "x"))
	d, _ := storage.As[storage.SaveDater](m.Mailbox)
	for x, err := range d.SaveDates(b.ctx(), all()) {
		require.ErrorIs(b, err, storage.ErrNoMailbox)
		require.Zero(b, x)
	}
}
