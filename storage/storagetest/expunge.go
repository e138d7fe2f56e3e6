package storagetest

import (
	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"
)

var expungeTests = map[string]func(*bench){
	"RemovesFlaggedOrNot": func(b *bench) {
		m := b.box("x")
		m.add(5)
		m.store(imap.StoreFlagsAdd, set(2, 3), imap.FlagDeleted)
		require.Equal(b, imap.UIDSet{{Start: 1, Stop: 2}, {Start: 5, Stop: 5}}, m.expunge(1, 2, 5, 9))
		require.Equal(b, []imap.UID{3, 4}, m.uids())
		m.check()
		set, err := m.Expunge(b.ctx(), all())
		require.NoError(b, err)
		require.Equal(b, imap.UIDSet{{Start: 3, Stop: 4}}, set)
		require.Empty(b, m.uids())
		m.check()
	},
	"NothingIsNothing": func(b *bench) {
		m := b.box("x")
		m.add(1)
		before := m.status()
		require.Empty(b, m.expunge(7, 8))
		require.Equal(b, before, m.status())
		_, err := m.Expunge(cancelled(), all())
		require.Error(b, err)
		require.Equal(b, before, m.status())
	},
	"ExpungedSince": func(b *bench) {
		m := b.box("x")
		m.add(6)
		s0 := m.status().HighestModSeq
		require.Empty(b, m.expunged(0))
		m.expunge(2)
		s1 := m.status().HighestModSeq
		m.store(imap.StoreFlagsAdd, set(1), imap.FlagSeen)
		m.expunge(5, 3)
		s2 := m.status().HighestModSeq
		require.Equal(b, imap.UIDSet{{Start: 2, Stop: 3}, {Start: 5, Stop: 5}}, m.expunged(s0))
		require.Equal(b, imap.UIDSet{{Start: 2, Stop: 3}, {Start: 5, Stop: 5}}, m.expunged(0))
		require.Equal(b, imap.UIDSet{{Start: 3, Stop: 3}, {Start: 5, Stop: 5}}, m.expunged(s1))
		require.Empty(b, m.expunged(s2))
		require.Empty(b, m.expunged(1<<62))
	},
	"AThousandChangesBackAreKnown": func(b *bench) {
		m := b.box("x")
		m.add(1001)
		m.expunge(1)
		since := m.status().HighestModSeq
		for uid := imap.UID(2); uid <= 1001; uid++ {
			m.expunge(uid)
		}
		require.Equal(b, imap.UIDSet{{Start: 2, Stop: 1001}}, m.expunged(since))
	},
	"ManyAtOnceAreOneChange": func(b *bench) {
		m := b.box("x")
		m.add(1000)
		before := m.status().HighestModSeq
		removed, err := m.Expunge(b.ctx(), imap.UIDSet{{Start: 1, Stop: 990}})
		require.NoError(b, err)
		require.Equal(b, imap.UIDSet{{Start: 1, Stop: 990}}, removed)
		require.Equal(b, removed, m.expunged(before))
		require.Len(b, m.uids(), 10)
		m.check()
	},
}
