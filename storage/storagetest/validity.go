package storagetest

import (
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

// newUIDValidityRaisesTheModSeq renames a mailbox to the name of a younger one.
func newUIDValidityRaisesTheModSeq(b *bench) {
	a := b.account(alice)
	m := b.box("older")
	b.box("name")
	require.NoError(b, a.Delete(b.ctx(), "name"))
	before := m.status()
	w := b.watch(alice)
	require.NoError(b, a.Rename(b.ctx(), "older", "name"))
	after := m.status()
	require.Greater(b, after.UIDValidity, before.UIDValidity)
	require.Greater(b, after.HighestModSeq, before.HighestModSeq)
	w.told(storage.Change{}, storage.Change{Mailbox: m.ID(), ModSeq: after.HighestModSeq})
}
