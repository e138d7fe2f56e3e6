package storagetest

import (
	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

var flagsTests = map[string]func(*bench){
	"OneMessageWithTooManyKeywordsStopsAll": oneWithTooManyKeywords,
	"AddRemoveSet": func(b *bench) {
		m := b.box("x")
		uid := m.add(1, imap.FlagSeen, "one")[0]
		now := func(want ...imap.Flag) {
			b.Helper()
			require.True(b, m.message(uid).Flags.Equal(storage.NewFlags(want...)), "%v", m.message(uid).Flags.Names())
			m.check()
		}
		m.store(imap.StoreFlagsAdd, set(uid), imap.FlagDeleted, "two", "ONE")
		now(imap.FlagSeen, imap.FlagDeleted, "one", "two")
		m.store(imap.StoreFlagsDel, set(uid), imap.FlagSeen, "One")
		now(imap.FlagDeleted, "two")
		m.store(imap.StoreFlagsSet, set(uid), imap.FlagFlagged, imap.FlagAnswered, imap.FlagDraft)
		now(imap.FlagFlagged, imap.FlagAnswered, imap.FlagDraft)
		m.store(imap.StoreFlagsSet, set(uid))
		now()
	},
	"ReturnsWhatItChanged": func(b *bench) {
		m := b.box("x")
		uids := m.add(3)
		m.store(imap.StoreFlagsAdd, set(uids[1]), imap.FlagSeen)
		before := m.status().HighestModSeq
		changed := m.store(imap.StoreFlagsAdd, all(), imap.FlagSeen)
		require.Len(b, changed, 2)
		require.Equal(b, uids[0], changed[0].UID)
		require.Equal(b, uids[2], changed[1].UID)
		for _, msg := range changed {
			require.Equal(b, m.message(msg.UID), msg)
			require.Greater(b, msg.ModSeq, before)
		}
		after := m.status()
		require.Empty(b, m.store(imap.StoreFlagsAdd, all(), imap.FlagSeen))
		require.Equal(b, after, m.status(), "no change, no ModSeq")
	},
	"SetsWithStarHolesAndNonsense": func(b *bench) {
		m := b.box("x")
		m.add(5)
		m.expunge(2, 5)
		for _, c := range []struct {
			set  imap.UIDSet
			want []imap.UID
		}{
			{imap.UIDSet{{Start: 0, Stop: 0}}, []imap.UID{4}},
			{imap.UIDSet{{Start: 900, Stop: 0}}, []imap.UID{4}},
			{imap.UIDSet{{Start: 1, Stop: 4294967295}}, []imap.UID{1, 3, 4}},
			{imap.UIDSet{{Start: 3, Stop: 4}, {Start: 1, Stop: 3}, {Start: 1, Stop: 1}}, []imap.UID{1, 3, 4}},
			{imap.UIDSet{{Start: 4, Stop: 3}}, []imap.UID{3, 4}},
			{imap.UIDSet{{Start: 2, Stop: 2}, {Start: 5, Stop: 70}}, nil},
			{nil, nil},
		} {
			m.store(imap.StoreFlagsSet, all())
			var got []imap.UID
			for _, msg := range m.store(imap.StoreFlagsAdd, c.set, imap.FlagFlagged) {
				got = append(got, msg.UID)
			}
			require.Equal(b, c.want, got, "%v", c.set)
		}
		require.Empty(b, b.box("empty").store(imap.StoreFlagsAdd, imap.UIDSet{{Start: 0, Stop: 0}}, imap.FlagSeen))
	},
	"UnchangedSince": func(b *bench) {
		m := b.box("x")
		uids := m.add(3)
		seen := m.status().HighestModSeq
		m.store(imap.StoreFlagsAdd, set(uids[1]), imap.FlagAnswered)
		changed, failed, err := m.StoreFlags(b.ctx(), storage.FlagUpdate{UIDs: all(), Op: imap.StoreFlagsAdd, Flags: storage.NewFlags(imap.FlagSeen), UnchangedSince: seen})
		require.NoError(b, err)
		require.Len(b, changed, 2)
		require.Equal(b, set(uids[1]), failed)
		require.False(b, m.message(uids[1]).Flags.Has(storage.Seen))
		m.check()
	},
	"TooManyKeywordsChangeNothing": func(b *bench) {
		m := b.box("x")
		uid := m.add(1, "k")[0]
		before := m.status()
		_, _, err := m.StoreFlags(b.ctx(), storage.FlagUpdate{UIDs: all(), Op: imap.StoreFlagsAdd, Flags: manyKeywords()})
		require.ErrorIs(b, err, storage.ErrLimit)
		require.Equal(b, before, m.status())
		require.Equal(b, []imap.Flag{"k"}, m.message(uid).Flags.Names())
	},
	"ACancelledContextChangesNothing": func(b *bench) {
		m := b.box("x")
		m.add(1)
		before := m.status()
		_, _, err := m.StoreFlags(cancelled(), storage.FlagUpdate{UIDs: all(), Flags: storage.NewFlags(imap.FlagSeen)})
		require.Error(b, err)
		require.Equal(b, before, m.status())
	},
	"OnAllOfManyMessages": func(b *bench) {
		m := b.box("x")
		m.add(1000)
		changed := m.store(imap.StoreFlagsAdd, all(), imap.FlagSeen, "everyone")
		require.Len(b, changed, 1000)
		m.store(imap.StoreFlagsDel, imap.UIDSet{{Start: 500, Stop: 600}}, "everyone")
		for _, msg := range m.list(0) {
			require.Equal(b, msg.UID < 500 || msg.UID > 600, msg.Flags.HasKeyword("everyone"), "UID %d", msg.UID)
			require.True(b, msg.Flags.Has(storage.Seen))
		}
		m.check()
		m.add(100)
		require.Zero(b, m.message(1050).Flags.System)
		require.Len(b, m.store(imap.StoreFlagsAdd, all(), imap.FlagSeen), 100)
		m.check()
	},
}
