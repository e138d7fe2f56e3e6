package local

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/internal/uids"
)

// fixMailbox mends a mailbox as one change, whatever is damaged of it.
func (r *repairer) fixMailbox(ctx context.Context, group []Damage) error {
	if group[0].of.mailbox == 0 {
		return r.fixKept(ctx, group)
	}
	m := mend{id: group[0].of.mailbox, account: group[0].of.account, drop: make(map[uint32]DamageKind), short: make(map[uint32]int64)}
	for _, d := range group {
		switch d.Kind {
		case DamageMissingBody, DamageDamagedBody:
			m.drop[d.of.uid] = d.Kind
		case DamageShortBody:
			m.short[d.of.uid] = d.of.size
		case DamageWrongOwner:
			m.owned = true
		}
	}
	return r.commit(ctx, m.mend)
}

// mend is the repair of one mailbox.
type mend struct {
	id      storage.MailboxID
	account accountID
	owned   bool                  // it becomes the account's
	drop    map[uint32]DamageKind // messages to remove, and why
	short   map[uint32]int64      // messages to shorten, with the octets of their bodies
	t       tx
	v       *survey
}

func (m *mend) mend(t tx) error {
	m.t = t
	if doomed, err := m.clearDoomed(); err != nil || doomed {
		return err
	}
	if err := m.shorten(); err != nil {
		return err
	}
	m.v = &survey{r: t.Tx, id: m.id, drop: m.dropped}
	if err := m.v.read(); err != nil {
		return err
	}
	if m.owned && m.v.known && m.v.had.account != m.account {
		if err := m.own(); err != nil {
			return err
		}
	}
	if m.v.found == 0 {
		return errNothing
	}
	return m.write()
}

// clearDoomed removes what keeps a mailbox from being cleared away.
func (m *mend) clearDoomed() (doomed bool, err error) {
	if _, doomed, err = m.t.Get(doomedKey(m.id)); err != nil || !doomed {
		return false, err
	}
	if _, there, err := m.t.Get(stateKey(m.id)); err != nil || there {
		return false, err
	}
	return true, m.t.Scan(messageKey(m.id, 0), behind(keyMessage, uint64(m.id)), func(k, v []byte) error {
		rec, err := parseMessage(k, v)
		if err != nil || m.dropped(&rec) {
			m.t.Delete(k)
		}
		return nil
	})
}

// dropped reports messages to remove, and gives their references back when
// there is something that they refer to.
func (m *mend) dropped(rec *record) bool {
	why, ok := m.drop[rec.uid]
	if ok && why == DamageDamagedBody {
		m.t.unlink(rec)
	}
	return ok
}

// shorten makes records fit their bodies.
func (m *mend) shorten() error {
	for uid, size := range m.short {
		rec, err := m.t.record(m.id, uid)
		if err != nil || rec.offset+rec.bodySize() <= size {
			continue
		}
		rec.size = int64(len(rec.prefix)) + max(size-rec.offset, 0)
		m.t.Set(messageKey(m.id, uid), rec.append(nil))
	}
	return nil
}

// own gives the mailbox to the account that has its name, unless the account
// that it belongs to has a name for it, too.
func (m *mend) own() error {
	named, err := namesOf(m.t, m.v.had.account, m.id)
	if err != nil || len(named) > 0 {
		return err
	}
	m.v.st.account = m.account
	m.v.found++
	return nil
}

// write makes the mailbox what the survey says.
func (m *mend) write() error {
	v, st := m.v, m.v.st
	st.modSeq++
	if !v.known {
		st.account, st.modSeq = m.account, st.modSeq+1
	}
	if last := v.last(); !v.known || last >= st.next || st.next == 0 {
		st.next, st.validity = max(st.next, last+1), m.t.freshValidity()
	}
	for _, i := range v.renewed {
		v.rows[i].modSeq = st.modSeq
	}
	for _, uid := range v.records {
		m.t.Delete(messageKey(m.id, uid))
	}
	now := (&table{}).with(v.rows, st.modSeq)
	if err := m.pages(now, st.next); err != nil {
		return err
	}
	if err := m.tombstones(&st); err != nil {
		return err
	}
	m.t.put(&boxChange{id: m.id, after: st, table: now})
	return nil
}

// last is the highest UID that the mailbox has or had, as far as anybody knows.
func (v *survey) last() uint32 {
	last := v.top
	if n := len(v.rows); n > 0 {
		last = max(last, v.rows[n-1].uid)
	}
	return last
}

// pages writes the pages that are not as they should be.
func (m *mend) pages(now *table, next uint32) error {
	for _, page := range m.v.seen {
		if now.chunkOf(page) == nil {
			m.t.Delete(pageKey(m.id, page))
		}
	}
	for _, c := range now.chunks {
		had, ok, err := m.t.Get(pageKey(m.id, c.page))
		if err != nil {
			return err
		}
		if !ok && c.page >= pageOf(next) && !m.renewed(c) {
			continue // its rows are in the records
		}
		should := appendPage(nil, c, min(next-1, c.page<<pageBits|pageMask))
		if !ok || string(had) != string(should) {
			m.t.Set(pageKey(m.id, c.page), should)
		}
	}
	return nil
}

func (m *mend) renewed(c *chunk) bool {
	for _, i := range m.v.renewed {
		if pageOf(m.v.rows[i].uid) == c.page {
			return true
		}
	}
	return false
}

// tombstones forgets those that are not to be relied on, and writes the one of
// the messages that the repair removes.
func (m *mend) tombstones(st *state) error {
	v := m.v
	if !v.known {
		v.forgotten = st.modSeq - 1
	}
	st.floor, st.tombs, st.expunged = v.forgotten, 0, v.forgotten
	err := m.t.Scan(expungedKey(m.id, 0), behind(keyExpunged, uint64(m.id)), func(k, _ []byte) error {
		modSeq, ok := number(k, 8)
		if !ok || len(k) != 17 {
			return nil
		}
		if modSeq <= v.forgotten || !v.known {
			m.t.Delete(k)
			return nil
		}
		st.tombs, st.expunged = st.tombs+1, modSeq
		return nil
	})
	if err != nil {
		return err
	}
	var gone imap.UIDSet
	for _, uid := range v.gone {
		if uid > 0 && uid < st.next {
			gone = uids.Append(gone, imap.UID(uid))
		}
	}
	if len(gone) > 0 {
		m.t.Set(expungedKey(m.id, st.modSeq), appendTombstone(nil, gone))
		st.tombs, st.expunged = st.tombs+1, st.modSeq
	}
	return nil
}

// freshValidity gives out a UIDVALIDITY.
func (t tx) freshValidity() uint32 {
	t.s.counters.validity++
	t.saveCounters()
	return t.s.counters.validity
}
