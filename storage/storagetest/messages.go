package storagetest

import (
	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

var messagesTests = map[string]func(*bench){
	"SinceAModSeq": func(b *bench) {
		m := b.box("x")
		uids := m.add(200)
		s1 := m.status().HighestModSeq
		require.Empty(b, m.list(s1))
		m.store(imap.StoreFlagsAdd, set(uids[3], uids[150]), imap.FlagSeen)
		s2 := m.status().HighestModSeq
		m.add(1)
		list := m.list(s1)
		require.Len(b, list, 3)
		require.Equal(b, uids[3], list[0].UID)
		require.Equal(b, uids[150], list[1].UID)
		require.Len(b, m.list(s2), 1)
		require.Empty(b, m.list(m.status().HighestModSeq))
		require.Empty(b, m.list(1<<62))
		require.Len(b, m.list(0), 201)
	},
	"IsOneMoment": func(b *bench) {
		m := b.box("x")
		m.add(300)
		n := 0
		for msg, err := range m.Messages(b.ctx(), 0) {
			require.NoError(b, err)
			if n == 0 { // the store can be changed while somebody reads a list
				m.add(5)
				m.expunge(10, 11, 299)
				m.store(imap.StoreFlagsAdd, all(), imap.FlagSeen)
			}
			require.False(b, msg.Flags.Has(storage.Seen), "UID %d", msg.UID)
			n++
		}
		require.Equal(b, 300, n)
		require.Len(b, m.uids(), 302)
		m.check()
	},
	"CanStopEarlyAndStartAgain": func(b *bench) {
		m := b.box("x")
		m.add(3)
		seq := m.Messages(b.ctx(), 0)
		for range seq {
			break
		}
		n := 0
		for range seq {
			n++
		}
		require.Equal(b, 3, n)
	},
	"EndsWithItsContext": func(b *bench) {
		m := b.box("x")
		m.add(3)
		var errs int
		for msg, err := range m.Messages(cancelled(), 0) {
			require.Error(b, err)
			require.Zero(b, msg)
			errs++
		}
		require.Equal(b, 1, errs)
	},
	"UIDsAreNeverGivenTwice": func(b *bench) {
		m := b.box("x")
		m.add(3)
		m.expunge(1, 2, 3)
		require.Equal(b, []imap.UID{4, 5}, m.add(2))
		m.expunge(5)
		require.EqualValues(b, 6, m.status().UIDNext)
		require.Equal(b, []imap.UID{6}, m.add(1))
		require.EqualValues(b, 7, m.status().UIDNext)
	},
	"EveryChangeRaisesTheModSeq": func(b *bench) {
		m, other := b.box("x"), b.box("y")
		last := m.status().HighestModSeq
		rises := func(what string) {
			b.Helper()
			now := m.status().HighestModSeq
			require.Greater(b, now, last, what)
			last = now
		}
		m.add(4)
		rises("append")
		b.deliver("x", storage.Target{User: alice, Mailbox: "x"})
		rises("deliver")
		m.store(imap.StoreFlagsAdd, set(1), imap.FlagSeen)
		rises("flags")
		m.expunge(1)
		rises("expunge")
		_, err := m.Move(b.ctx(), set(2), "y")
		require.NoError(b, err)
		rises("move away")
		_, err = other.Copy(b.ctx(), all(), "x")
		require.NoError(b, err)
		rises("copy here")
		m.check()
	},
}
