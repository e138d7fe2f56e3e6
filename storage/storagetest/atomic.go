package storagetest

import (
	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

// changesAreSeenWhole reads a mailbox while many messages at a time come, go
// and change.
func changesAreSeenWhole(b *bench) {
	const size = 20
	m, source := b.box("x"), b.box("source")
	source.add(size)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 5 {
			m.manyAtOnce(source, size)
		}
	}()
	defer func() { <-done }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		list := m.list(0)
		require.Zero(b, len(list)%size, "half of a change is seen")
		for i, msg := range list {
			require.Equal(b, list[i-i%size].Flags.Names(), msg.Flags.Names(), "half of a change is seen")
		}
		require.Zero(b, m.status().Messages%size)
	}
}

// manyAtOnce changes a mailbox, size messages at a time.
func (m *box) manyAtOnce(source *box, size int) {
	msgs := make([]storage.NewMessage, size)
	for i := range msgs {
		msgs[i] = storage.NewMessage{Body: body("x")}
	}
	ctx := m.b.ctx()
	_, err := m.Append(ctx, msgs...)
	if err == nil {
		_, _, err = m.StoreFlags(ctx, storage.FlagUpdate{UIDs: all(), Op: imap.StoreFlagsAdd, Flags: storage.NewFlags(imap.FlagSeen)})
	}
	if err == nil {
		_, err = source.Copy(ctx, all(), "x")
	}
	if err == nil {
		_, err = m.Move(ctx, all(), "INBOX")
	}
	if err == nil {
		_, err = m.Append(ctx, msgs...)
	}
	if err == nil {
		_, err = m.Expunge(ctx, all())
	}
	if err != nil {
		m.b.Error(err)
	}
}

// oneWithTooManyKeywords adds keywords of which one message of two has room for.
func oneWithTooManyKeywords(b *bench) {
	m := b.box("x")
	m.add(1)
	full := manyKeywords()
	full.Keywords = full.Keywords[:storage.MaxKeywords]
	_, err := m.Append(b.ctx(), storage.NewMessage{Body: body("x"), Flags: full})
	require.NoError(b, err)
	before, list := m.status(), m.list(0)
	_, _, err = m.StoreFlags(b.ctx(), storage.FlagUpdate{UIDs: all(), Op: imap.StoreFlagsAdd, Flags: storage.NewFlags("one-more")})
	require.ErrorIs(b, err, storage.ErrLimit)
	require.Equal(b, before, m.status())
	require.Equal(b, list, m.list(0))
}
