package storagetest

import (
	"fmt"
	"io"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// sequence returns what reads many messages of a mailbox, or skips the test
// where the store has nothing for it.
func (m *box) sequence(what storage.SequenceOf) storage.Sequence {
	m.b.Helper()
	s, ok := storage.As[storage.Sequencer](m.Mailbox)
	if !ok {
		m.b.Skip("no Sequencer")
	}
	q := s.Sequence(what)
	m.b.Cleanup(q.Close)
	return q
}

// same compares a message as a sequence gives it with what the mailbox gives.
func (m *box) same(q storage.Sequence, uid imap.UID) {
	m.b.Helper()
	c, err := q.Open(m.b.ctx(), uid)
	require.NoError(m.b, err)
	got, err := io.ReadAll(message.NewReader(c))
	require.NoError(m.b, err)
	require.NoError(m.b, c.Close())
	require.Equal(m.b, m.text(uid), string(got))
	want, err := m.Index(m.b.ctx(), uid)
	require.NoError(m.b, err)
	index, err := q.Index(m.b.ctx(), uid)
	require.NoError(m.b, err)
	require.Equal(m.b, want, index)
}

// filled is a mailbox with messages that came in every way.
func (b *bench) filled() *box {
	m := b.box("INBOX")
	m.add(5)
	for i := range 5 {
		b.deliver(fmt.Sprintf("Subject: delivered %d\r\n\r\nx\r\n", i), storage.Target{User: alice, Prefix: []byte("Delivered-To: alice\r\n")})
	}
	b.deliver("Subject: with a date\r\n\r\nx\r\n", storage.Target{User: alice, Prefix: []byte("Date: Tue, 3 Feb 2026 12:00:00 +0000\r\n")})
	b.deliver("Subject: large\r\n\r\n"+strings.Repeat("0123456789abcdef\r\n", 30_000), storage.Target{User: alice})
	var together []storage.NewMessage
	for i := range 40 {
		together = append(together, storage.NewMessage{Body: body(multipart + strings.Repeat("behind\r\n", 500*(i%5)))})
	}
	_, err := m.Append(b.ctx(), together...)
	require.NoError(b, err)
	_, err = m.Copy(b.ctx(), set(3, 7, 30), "INBOX")
	require.NoError(b, err)
	m.expunge(4, 20)
	return m
}

var sequenceTests = map[string]func(*bench){
	"ASequenceGivesWhatTheMailboxGives": func(b *bench) {
		m := b.filled()
		uids := m.uids()
		q := m.sequence(storage.SequenceOfIndexes | storage.SequenceOfBodies)
		m.same(q, uids[0]) // that nothing was named is no matter
		for range 2 {
			require.NoError(b, q.Next(b.ctx(), uids))
			for _, uid := range uids {
				m.same(q, uid)
			}
		}
		for i := len(uids) - 1; i >= 0; i-- {
			m.same(q, uids[i])
		}
		require.NoError(b, q.Next(b.ctx(), []imap.UID{uids[8], uids[2]}))
		for _, i := range []int{8, 2, 5, 2} {
			m.same(q, uids[i])
		}
		for _, what := range []storage.SequenceOf{storage.SequenceOfIndexes, storage.SequenceOfBodies} {
			q := m.sequence(what)
			require.NoError(b, q.Next(b.ctx(), uids))
			for _, uid := range uids {
				m.same(q, uid)
			}
		}
	},
	"ASequenceKnowsWhatIsGone": func(b *bench) {
		m := b.filled()
		q := m.sequence(storage.SequenceOfIndexes | storage.SequenceOfBodies)
		require.NoError(b, q.Next(b.ctx(), []imap.UID{3, 4, 5, 1000}))
		for _, uid := range []imap.UID{4, 1000} {
			_, err := q.Open(b.ctx(), uid)
			require.ErrorIs(b, err, storage.ErrNoMessage)
			_, err = q.Index(b.ctx(), uid)
			require.ErrorIs(b, err, storage.ErrNoMessage)
		}
		m.same(q, 5)
	},
	"ASequenceHasBounds": func(b *bench) {
		m := b.filled()
		q := m.sequence(storage.SequenceOfIndexes)
		require.ErrorIs(b, q.Next(b.ctx(), make([]imap.UID, storage.MaxSequence+1)), storage.ErrLimit)
		require.Error(b, q.Next(cancelled(), m.uids()))
		require.NoError(b, b.account(alice).Create(b.ctx(), "gone", storage.NewMailbox{}))
		gone := b.box("gone")
		q = gone.sequence(storage.SequenceOfIndexes)
		require.NoError(b, b.account(alice).Delete(b.ctx(), "gone"))
		require.ErrorIs(b, q.Next(b.ctx(), []imap.UID{1}), storage.ErrNoMailbox)
	},
}
