package storagetest

import (
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

var appendTests = map[string]func(*bench){
	"KeepsFlagsDateAndOctets": func(b *bench) {
		m := b.box("x")
		date := time.Date(1999, 12, 31, 23, 59, 59, 999_999_999, time.FixedZone("odd", -(9*3600+30*60)))
		text := "Subject: a\n\nlone \r and \x00 and \xff\n"
		uids, err := m.Append(b.ctx(), storage.NewMessage{Body: body(text), Flags: storage.NewFlags(imap.FlagDraft, imap.FlagSeen, "$Work"), Date: date})
		require.NoError(b, err)
		msg := m.message(uids[0])
		require.Equal(b, text, m.text(uids[0]))
		require.Equal(b, int64(len(text)), msg.Size)
		require.Equal(b, []imap.Flag{imap.FlagSeen, imap.FlagDraft, "$Work"}, msg.Flags.Names())
		require.Equal(b, "1999-12-31T23:59:59-09:30", msg.Date.Format(time.RFC3339Nano))
		m.check()
	},
	"DatesFarAway": func(b *bench) {
		m := b.box("x")
		for _, date := range []time.Time{
			time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Hour), time.Date(1969, 1, 2, 3, 4, 5, 0, time.FixedZone("", 14*3600)), time.Date(99999, 1, 1, 0, 0, 0, 0, time.UTC),
			time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 1, 0, 0, 0, 0, time.FixedZone("", 99*3600)),
		} {
			uids, err := m.Append(b.ctx(), storage.NewMessage{Body: body("x"), Date: date})
			require.NoError(b, err)
			got := m.message(uids[0]).Date
			require.True(b, storage.TrimDate(date).Equal(got), "%v %v", date, got)
			require.Equal(b, storage.TrimDate(date).Format(time.RFC3339), got.Format(time.RFC3339))
		}
	},
	"ManyAtOnceAreOneChangeInOrder": func(b *bench) {
		m := b.box("x")
		before := m.status()
		uids := m.add(700)
		require.IsIncreasing(b, uids)
		require.Equal(b, uids, m.uids())
		require.Equal(b, "Subject: 699\r\n\r\ntext 699\r\n", m.text(uids[699]))
		require.Greater(b, m.status().HighestModSeq, before.HighestModSeq)
		m.check()
		m.add(700)
		require.Len(b, m.uids(), 1400)
		m.check()
	},
	"AllOrNone": func(b *bench) {
		m := b.box("x")
		_, err := m.Append(b.ctx(), storage.NewMessage{Body: body("x")}, storage.NewMessage{Body: broken{}})
		require.ErrorIs(b, err, errBroken)
		_, err = m.Append(b.ctx(), storage.NewMessage{Body: body("x")}, storage.NewMessage{Body: body("x"), Flags: manyKeywords()})
		require.ErrorIs(b, err, storage.ErrLimit)
		_, err = m.Append(cancelled(), storage.NewMessage{Body: body("x")})
		require.Error(b, err)
		require.Empty(b, m.uids())
		require.EqualValues(b, 1, m.status().UIDNext)
	},
	"NothingIsNothing": func(b *bench) {
		m := b.box("x")
		before := m.status()
		uids, err := m.Append(b.ctx())
		require.NoError(b, err)
		require.Empty(b, uids)
		require.Equal(b, before, m.status())
	},
}
