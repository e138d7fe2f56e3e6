package storagetest

import (
	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

var replaceTests = map[string]func(*bench){
	"IsAnAppendAndAnExpunge": func(b *bench) {
		m := b.box("x")
		m.add(3, imap.FlagSeen)
		before := m.status()
		uid, err := b.replacer(m).Replace(b.ctx(), 2, storage.NewMessage{Body: body("new"), Flags: storage.NewFlags(imap.FlagDraft), Date: noon})
		require.NoError(b, err)
		require.Equal(b, []imap.UID{1, 3, uid}, m.uids())
		require.Equal(b, "new", m.text(uid))
		require.Equal(b, []imap.Flag{imap.FlagDraft}, m.message(uid).Flags.Names())
		require.True(b, noon.Equal(m.message(uid).Date))
		require.Equal(b, set(2), m.expunged(before.HighestModSeq))
		require.Equal(b, uid+1, m.status().UIDNext)
		m.check()
		_, err = m.Open(b.ctx(), 2)
		require.ErrorIs(b, err, storage.ErrNoMessage)
	},
	"OfTheOnlyMessage": func(b *bench) {
		m := b.box("x")
		m.add(1)
		last := imap.UID(1)
		for range 200 { // through a few pages of UIDs
			uid, err := b.replacer(m).Replace(b.ctx(), last, storage.NewMessage{Body: body("new")})
			require.NoError(b, err)
			last = uid
		}
		require.Equal(b, []imap.UID{last}, m.uids())
		require.Equal(b, "new", m.text(last))
		m.check()
	},
	"OfNothingChangesNothing": func(b *bench) {
		m := b.box("x")
		m.add(2)
		m.expunge(1)
		before := m.status()
		for _, old := range []imap.UID{1, 9} {
			_, err := b.replacer(m).Replace(b.ctx(), old, storage.NewMessage{Body: body("new")})
			require.ErrorIs(b, err, storage.ErrNoMessage)
		}
		_, err := b.replacer(m).Replace(b.ctx(), 2, storage.NewMessage{Body: body("new"), Flags: manyKeywords()})
		require.ErrorIs(b, err, storage.ErrLimit)
		_, err = b.replacer(m).Replace(b.ctx(), 2, storage.NewMessage{Body: broken{}})
		require.ErrorIs(b, err, errBroken)
		_, err = b.replacer(m).Replace(cancelled(), 2, storage.NewMessage{Body: body("new")})
		require.Error(b, err)
		require.Equal(b, before, m.status())
		require.Equal(b, []imap.UID{2}, m.uids())
	},
	"NeedsRoomForTheDifference": func(b *bench) {
		m := b.box("x")
		_, err := m.Append(b.ctx(), storage.NewMessage{Body: body("12345678")})
		require.NoError(b, err)
		q, ok := storage.As[storage.Quotas](b.account(alice))
		if !ok {
			b.Skip("no Quotas")
		}
		require.NoError(b, q.SetQuota(b.ctx(), &storage.Quota{Bytes: 10, Messages: 1}))
		uid, err := b.replacer(m).Replace(b.ctx(), 1, storage.NewMessage{Body: body("1234567890")})
		require.NoError(b, err)
		_, err = b.replacer(m).Replace(b.ctx(), uid, storage.NewMessage{Body: body("12345678901")})
		require.ErrorIs(b, err, storage.ErrOverQuota)
		require.NoError(b, q.SetQuota(b.ctx(), &storage.Quota{Bytes: 5}))
		_, err = b.replacer(m).Replace(b.ctx(), uid, storage.NewMessage{Body: body("123456789")})
		require.NoError(b, err, "less is always possible")
		m.check()
	},
	"InADeletedMailbox": func(b *bench) {
		m := b.box("x")
		m.add(1)
		require.NoError(b, b.account(alice).Delete(b.ctx(), "x"))
		_, err := b.replacer(m).Replace(b.ctx(), 1, storage.NewMessage{Body: body("new")})
		require.ErrorIs(b, err, storage.ErrNoMailbox)
	},
}

func (b *bench) replacer(m *box) storage.Replacer {
	b.Helper()
	r, ok := storage.As[storage.Replacer](m.Mailbox)
	if !ok {
		b.Skip("no Replacer")
	}
	return r
}
