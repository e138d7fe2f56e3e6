package local

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/internal/uids"
)

type mailbox struct {
	*account
	id   storage.MailboxID
	kind storage.Kind
	name string // when it was opened
}

func uidOf(l listed) imap.UID { return imap.UID(l.uid) }

func (m *mailbox) ID() storage.MailboxID { return m.id }
func (m *mailbox) Kind() storage.Kind    { return m.kind }

// ready returns the state of the mailbox, which is there.
func (m *mailbox) ready(ctx context.Context) (state, error) {
	if err := m.s.ready(ctx); err != nil {
		return state{}, err
	}
	return m.s.state(m.id)
}

// Status returns the counters, which are kept with every change.
func (m *mailbox) Status(ctx context.Context) (storage.Status, error) {
	st, err := m.ready(ctx)
	if err != nil {
		return storage.Status{}, err
	}
	recent, err := m.countRecent(ctx, &st)
	if err != nil {
		return storage.Status{}, err
	}
	return storage.Status{
		UIDValidity: st.validity, UIDNext: imap.UID(st.next), HighestModSeq: st.modSeq,
		Messages: st.messages, Unseen: st.unseen, Deleted: st.deleted, Recent: recent, Size: st.size,
	}, nil
}

// Messages yields the rows of the newest table, chunk by chunk. It is shared
// and never changed, so nobody waits.
func (m *mailbox) Messages(ctx context.Context, since uint64) iter.Seq2[storage.Message, error] {
	return func(yield func(storage.Message, error) bool) {
		st, err := m.ready(ctx)
		if err == nil && since > 0 && since >= st.modSeq {
			return
		}
		var t *table
		if err == nil {
			t, err = m.s.tables.get(ctx, m.id)
		}
		if err != nil {
			yield(storage.Message{}, err)
			return
		}
		for _, c := range t.chunks {
			if c.modSeq <= since {
				continue
			}
			if err := ctx.Err(); err != nil {
				yield(storage.Message{}, err)
				return
			}
			for i := range c.rows {
				if c.rows[i].modSeq <= since {
					continue
				}
				l := c.get(i)
				if !yield(l.message(), nil) {
					return
				}
			}
		}
	}
}

// Expunged adds up the tombstones.
func (m *mailbox) Expunged(ctx context.Context, since uint64) (imap.UIDSet, error) {
	st, err := m.ready(ctx)
	if err != nil || since >= st.expunged {
		return nil, err
	}
	snap := m.s.e.Snapshot()
	defer snap.Close()
	if st, err = getState(snap, m.id); err != nil {
		return nil, err
	}
	if since < st.floor {
		return nil, storage.ErrResync
	}
	var set imap.UIDSet
	err = snap.Scan(ctx, expungedKey(m.id, since+1), behind(keyExpunged, uint64(m.id)), func(_, v []byte) error {
		ranges, err := parseTombstone(v)
		set = append(set, ranges...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("expunged in mailbox %d: %w", m.id, failure(err))
	}
	return imap.UIDSet(uids.Normal(set, 0)), nil
}

// appendTombstone writes ascending UIDs as ranges.
func appendTombstone(b []byte, set imap.UIDSet) []byte {
	b = append(b, version)
	b = binary.AppendUvarint(b, uint64(len(set)))
	last := imap.UID(0)
	for _, r := range set {
		b = binary.AppendUvarint(b, uint64(r.Start-last))
		b = binary.AppendUvarint(b, uint64(r.Stop-r.Start))
		last = r.Stop
	}
	return b
}

func parseTombstone(v []byte) (imap.UIDSet, error) {
	r := newReader(v)
	set := make(imap.UIDSet, 0, r.upTo(uint64(len(v))))
	last := uint64(0)
	for range cap(set) {
		start := last + r.upTo(1<<32-1)
		last = start + r.upTo(1<<32-1)
		if last > 1<<32-1 || start == 0 {
			return nil, ErrDamaged
		}
		set = append(set, imap.UIDRange{Start: imap.UID(start), Stop: imap.UID(last)})
	}
	return set, r.end()
}

// record reads a message's record.
func (m *mailbox) record(ctx context.Context, uid imap.UID) (record, error) {
	if _, err := m.ready(ctx); err != nil {
		return record{}, err
	}
	v, ok, err := m.s.e.Get(messageKey(m.id, uint32(uid)))
	if err != nil {
		return record{}, failure(err)
	}
	if !ok {
		return record{}, storage.ErrNoMessage
	}
	rec, err := parseRecord(uint32(uid), v)
	if err != nil {
		return record{}, fmt.Errorf("mailbox %d message %d: %w", m.id, uid, err)
	}
	return rec, nil
}

// TakeRecent tells the caller, and nobody after, which messages are new. That
// is a hint in the index, so it costs no sync.
func (m *mailbox) TakeRecent(ctx context.Context) (first imap.UID, err error) {
	mu := &m.s.recent[uint64(m.id)%uint64(len(m.s.recent))]
	mu.Lock()
	defer mu.Unlock()
	st, err := m.ready(ctx)
	if err != nil {
		return 0, err
	}
	told, err := m.told()
	if err != nil {
		return 0, err
	}
	if told < st.next {
		err = m.s.e.PutCache(recentKey(m.id), binary.BigEndian.AppendUint32(nil, st.next))
	}
	return imap.UID(told), failure(err)
}

// told is the first UID that no session was told of.
func (m *mailbox) told() (uint32, error) { return toldAt(m.s.e, m.id) }

func toldAt(g getter, id storage.MailboxID) (uint32, error) {
	v, ok, err := g.Get(recentKey(id))
	if err != nil {
		return 0, failure(err)
	}
	if !ok || len(v) != 4 {
		return 1, nil
	}
	return binary.BigEndian.Uint32(v), nil
}

// countRecent counts the messages that no session was told of.
func (m *mailbox) countRecent(ctx context.Context, st *state) (n uint32, err error) {
	told, err := m.told()
	switch {
	case err != nil || told >= st.next:
		return 0, err
	case told <= 1:
		return st.messages, nil
	}
	err = m.s.e.Scan(ctx, messageKey(m.id, told), messageKey(m.id, st.next), func(_, _ []byte) error { n++; return nil })
	return n, failure(err)
}
