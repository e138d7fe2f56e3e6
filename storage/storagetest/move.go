package storagetest

import (
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

// moveKeepsFlagsAndDates moves messages of different kinds.
func moveKeepsFlagsAndDates(b *bench) {
	m, other := b.box("x"), b.box("y")
	for i := range 3 {
		_, err := m.Append(b.ctx(), storage.NewMessage{Body: body("x"), Date: noon.Add(time.Duration(i) * time.Hour), Flags: storage.NewFlags(imap.FlagAnswered, imap.Flag(rune('k'+i)))})
		require.NoError(b, err)
	}
	before := m.list(0)
	_, err := m.Move(b.ctx(), all(), "y")
	require.NoError(b, err)
	for i, msg := range other.list(0) {
		require.True(b, before[i].Date.Equal(msg.Date))
		require.Equal(b, before[i].Flags.Names(), msg.Flags.Names())
	}
	other.check()
}
