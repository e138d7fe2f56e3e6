package storagetest

import (
	"context"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

var copyTests = map[string]func(*bench){
	"MoveKeepsFlagsAndDates": moveKeepsFlagsAndDates,
	"KeepsFlagsDatesAndOrder": func(b *bench) {
		m, other := b.box("x"), b.box("y")
		other.add(2)
		var src []storage.Message
		for i := range 4 {
			_, err := m.Append(b.ctx(), storage.NewMessage{Body: body(string(rune('a' + i))), Date: noon.Add(time.Duration(i) * time.Hour), Flags: storage.NewFlags(imap.FlagSeen, imap.Flag(rune('k'+i)))})
			require.NoError(b, err)
		}
		m.expunge(2)
		src = m.list(0)
		before := m.status()
		c, err := m.Copy(b.ctx(), imap.UIDSet{{Start: 4, Stop: 4}, {Start: 1, Stop: 3}}, "y")
		require.NoError(b, err)
		require.Equal(b, storage.Copied{UIDValidity: other.status().UIDValidity, Source: []imap.UID{1, 3, 4}, Dest: []imap.UID{3, 4, 5}}, c)
		require.Equal(b, before, m.status(), "the source does not change")
		for i, msg := range other.list(0)[2:] {
			require.Equal(b, c.Dest[i], msg.UID)
			require.True(b, src[i].Date.Equal(msg.Date))
			require.True(b, src[i].Flags.Equal(msg.Flags))
			require.Equal(b, m.text(c.Source[i]), other.text(msg.UID))
		}
		other.check()
	},
	"MoveIsCopyAndExpunge": func(b *bench) {
		m, other := b.box("x"), b.box("y")
		m.add(5, imap.FlagFlagged)
		text := m.text(4)
		before := m.status().HighestModSeq
		c, err := m.Move(b.ctx(), set(2, 4, 77), "y")
		require.NoError(b, err)
		require.Equal(b, []imap.UID{2, 4}, c.Source)
		require.Equal(b, []imap.UID{1, 3, 5}, m.uids())
		require.Equal(b, c.Dest, other.uids())
		require.Equal(b, set(2, 4), m.expunged(before))
		require.Equal(b, text, other.text(c.Dest[1]))
		m.check()
		other.check()
	},
	"I29IntoTheSameMailbox": func(b *bench) {
		m := b.box("x")
		m.add(2)
		c, err := m.Copy(b.ctx(), all(), "x")
		require.NoError(b, err)
		require.Equal(b, []imap.UID{3, 4}, c.Dest)
		c, err = m.Move(b.ctx(), set(1, 3), "x")
		require.NoError(b, err)
		require.Equal(b, []imap.UID{5, 6}, c.Dest)
		require.Equal(b, []imap.UID{2, 4, 5, 6}, m.uids())
		require.Equal(b, m.text(5), m.text(6), "both are the first message")
		require.NotEqual(b, m.text(2), m.text(5))
		m.check()
	},
	"I29IntoNoMailboxChangesNothing": func(b *bench) {
		m := b.box("x")
		m.add(2)
		before := m.status()
		for _, f := range moves(m) {
			_, err := f(b.ctx(), all(), "missing")
			require.ErrorIs(b, err, storage.ErrNoMailbox)
			_, err = f(b.ctx(), all(), "a//b")
			require.ErrorIs(b, err, storage.ErrNoMailbox)
			_, err = f(cancelled(), all(), "INBOX")
			require.Error(b, err)
		}
		require.Equal(b, before, m.status())
		require.Empty(b, b.box("INBOX").uids())
	},
	"NothingIsNothing": func(b *bench) {
		m, other := b.box("x"), b.box("y")
		m.add(1)
		before, beforeOther := m.status(), other.status()
		for _, f := range moves(m) {
			c, err := f(b.ctx(), set(5), "y")
			require.NoError(b, err)
			require.Equal(b, storage.Copied{UIDValidity: beforeOther.UIDValidity}, c)
		}
		require.Equal(b, before, m.status())
		require.Equal(b, beforeOther, other.status())
	},
	"ManyMessages": func(b *bench) {
		m, other := b.box("x"), b.box("y")
		m.add(1000)
		m.store(imap.StoreFlagsAdd, imap.UIDSet{{Start: 1, Stop: 500}}, imap.FlagSeen)
		_, err := m.Copy(b.ctx(), all(), "y")
		require.NoError(b, err)
		_, err = m.Move(b.ctx(), imap.UIDSet{{Start: 300, Stop: 799}}, "y")
		require.NoError(b, err)
		require.Len(b, other.uids(), 1500)
		require.Len(b, m.uids(), 500)
		require.Equal(b, m.text(1000), other.text(1000))
		require.Equal(b, "Subject: 299\r\n\r\ntext 299\r\n", other.text(1001))
		m.check()
		other.check()
	},
}

type mover func(ctx context.Context, uids imap.UIDSet, dest string) (storage.Copied, error)

func moves(m *box) []mover { return []mover{m.Copy, m.Move} }
