package local

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/storage"
)

// reading is the index at one moment, or as a change has left it so far.
type reading interface {
	getter
	Scan(from, to []byte, f func(key, value []byte) error) error
}

// survey reads all of one mailbox, whatever is damaged of it, and works out
// what it should be. A check reports what it finds; a repair writes it.
type survey struct {
	r    reading
	id   storage.MailboxID
	bad  func(kind DamageKind, uid uint32, what string)
	drop func(m *record) bool // messages that are to go; nil: none

	had   state // as it is kept, when it can be read
	known bool  // it can
	found int   // how often bad was called

	pages   []pageSeen // ascending, not yet passed by the records
	seen    []uint32   // the pages that have a key
	missing uint32     // the last page that was reported missing, plus 1
	listed  []listed   // what pages tell of, not yet passed by the records

	rows    []listed // as they should be, ascending
	renewed []int    // those of rows that clients have to hear of
	gone    []uint32 // UIDs that were there and can't stay, ascending
	records []uint32 // those of them that have a record
	top     uint32   // the highest UID that there is any trace of
	st      state    // as it should be, but for what a repair itself changes

	forgotten uint64 // tombstones up to this ModSeq have to go
	wrong     bool   // rows are not what they were
}

// pageSeen is a page as it was met.
type pageSeen struct {
	page, upto uint32
	lost       bool // it can't be read
}

func (v *survey) damage(kind DamageKind, uid uint32, format string, args ...any) {
	v.found++
	if v.bad != nil {
		v.bad(kind, uid, fmt.Sprintf(format, args...))
	}
}

// read does all of it. Its error says that it could not go on.
func (v *survey) read() error {
	for _, step := range [...]func() error{v.readState, v.readPages, v.readRecords, v.readTombstones} {
		if err := step(); err != nil {
			return fmt.Errorf("mailbox %d: %w", v.id, failure(err))
		}
	}
	return nil
}

func (v *survey) readState() error {
	b, ok, err := v.r.Get(stateKey(v.id))
	if err != nil {
		return err
	}
	if !ok {
		v.damage(DamageMissingState, 0, "has no state")
		return nil
	}
	if v.had, err = parseState(b); err != nil {
		v.damage(DamageUnreadableState, 0, "state: %v", err)
		return nil
	}
	v.known = true
	return nil
}

func (v *survey) readPages() error {
	return v.r.Scan(pageKey(v.id, 0), behind(keyPage, uint64(v.id)), func(k, b []byte) error {
		page, ok := tail32(k)
		if !ok {
			return nil // reported as an unknown key
		}
		v.seen = append(v.seen, page)
		c, upto, err := parsePage(page, b)
		if err != nil {
			v.damage(DamageUnreadablePage, page<<pageBits, "page %d: %v", page, err)
			v.pages, v.wrong = append(v.pages, pageSeen{page: page, lost: true}), true
			return nil
		}
		if len(c.rows) == 0 {
			v.damage(DamageEmptyPage, page<<pageBits, "page %d lists nothing", page)
		}
		v.pages = append(v.pages, pageSeen{page: page, upto: upto})
		for i := range c.rows {
			v.listed = append(v.listed, c.get(i))
		}
		return nil
	})
}

// readRecords goes through records and what pages tell of side by side.
func (v *survey) readRecords() error {
	err := v.r.Scan(messageKey(v.id, 0), behind(keyMessage, uint64(v.id)), func(k, b []byte) error {
		uid, ok := tail32(k)
		if !ok {
			return nil // reported as an unknown key
		}
		v.unrecorded(uid)
		v.top = max(v.top, uid)
		row := v.listing(uid)
		m, err := parseRecord(uid, b)
		switch {
		case err != nil || uid == 0:
			v.damage(DamageUnreadableRecord, uid, "message %d: %v", uid, cmp.Or(err, ErrDamaged))
			v.lose(uid)
			v.records = append(v.records, uid)
		case v.drop != nil && v.drop(&m):
			v.found++
			v.lose(uid)
			v.records = append(v.records, uid)
		case row == nil:
			v.unlisted(&m)
		default:
			v.list(row, &m)
		}
		return nil
	})
	if err != nil {
		return err
	}
	v.unrecorded(1<<32 - 1)
	v.count()
	return nil
}

// unrecorded loses what pages tell of below a UID that has a record.
func (v *survey) unrecorded(uid uint32) {
	for len(v.listed) > 0 && v.listed[0].uid < uid {
		v.damage(DamageMissingRecord, v.listed[0].uid, "message %d is listed and has no record", v.listed[0].uid)
		v.top = max(v.top, v.listed[0].uid)
		v.lose(v.listed[0].uid)
		v.listed = v.listed[1:]
	}
}

func (v *survey) lose(uid uint32) { v.gone, v.wrong = append(v.gone, uid), true }

// listing returns what a page tells of a message, nil when none does.
func (v *survey) listing(uid uint32) *listed {
	if len(v.listed) == 0 || v.listed[0].uid != uid {
		return nil
	}
	l := &v.listed[0]
	v.listed = v.listed[1:]
	return l
}

// list adds a message that a page tells of.
func (v *survey) list(row *listed, m *record) {
	l := *row
	if l.size != m.size || l.date != m.date {
		v.damage(DamageMismatch, m.uid, "message %d is listed with another size or date than its record has", m.uid)
		l.size, l.date = m.size, m.date
		v.renew()
	}
	v.rows = append(v.rows, l)
}

// renew says that the row that is added next is another one than it was.
func (v *survey) renew() { v.renewed, v.wrong = append(v.renewed, len(v.rows)), true }

// unlisted adds a message that no page tells of: none has to, of the last page.
func (v *survey) unlisted(m *record) {
	page := pageOf(m.uid)
	for len(v.pages) > 0 && v.pages[0].page < page {
		v.pages = v.pages[1:]
	}
	sealed := v.known && page < pageOf(v.had.next)
	switch here := len(v.pages) > 0 && v.pages[0].page == page; {
	case here && v.pages[0].lost:
		v.renew()
	case here && (sealed || m.uid <= v.pages[0].upto):
		v.damage(DamageUnlisted, m.uid, "message %d has a record and is not listed", m.uid)
		v.renew()
	case !here && sealed:
		if v.missing != page+1 {
			v.damage(DamageMissingPage, m.uid, "page %d is missing: message %d has a record and is not listed", page, m.uid)
		}
		v.missing = page + 1
		v.renew()
	}
	v.rows = append(v.rows, m.listed)
}

// count works out the state, and compares it with the one that is kept.
func (v *survey) count() {
	v.st = v.had
	v.st.messages, v.st.unseen, v.st.deleted, v.st.size = 0, 0, 0, 0
	modSeq, last := v.had.modSeq, uint32(0)
	for i := range v.rows {
		r := &v.rows[i]
		v.st.count(r.flags, r.size, 1)
		v.st.modSeq, last = max(v.st.modSeq, r.modSeq), r.uid
	}
	if !v.known {
		return
	}
	if last >= v.had.next || v.had.next == 0 {
		v.damage(DamageUIDNext, 0, "message %d is beyond UIDNEXT %d", last, v.had.next)
	}
	if v.st.modSeq != modSeq || modSeq == 0 {
		v.damage(DamageModSeq, 0, "a message with ModSeq %d is beyond HIGHESTMODSEQ %d", v.st.modSeq, modSeq)
	}
	if a, b := v.st, v.had; !v.wrong && (a.messages != b.messages || a.unseen != b.unseen || a.deleted != b.deleted || a.size != b.size) {
		v.damage(DamageCounts, 0, "has %d messages, %d unseen, %d deleted, %d octets, and counts %d, %d, %d, %d",
			a.messages, a.unseen, a.deleted, a.size, b.messages, b.unseen, b.deleted, b.size)
	}
}

func (v *survey) readTombstones() error {
	if !v.known {
		return nil // a repair forgets all of them
	}
	n, last := uint32(0), uint64(0)
	v.forgotten = v.had.floor
	err := v.r.Scan(expungedKey(v.id, 0), behind(keyExpunged, uint64(v.id)), func(k, b []byte) error {
		modSeq, ok := number(k, 8)
		if !ok || len(k) != 17 {
			return nil // reported as an unknown key
		}
		if why := v.tombstone(modSeq, b); why != "" {
			v.damage(DamageTombstone, 0, "what ModSeq %d expunged %s", modSeq, why)
			v.forgotten = max(v.forgotten, modSeq)
		}
		n, last = n+1, modSeq
		return nil
	})
	if err != nil {
		return err
	}
	s := &v.had
	if n != s.tombs || n > 0 && last != s.expunged || s.floor > s.expunged {
		v.damage(DamageTombstones, 0, "has %d tombstones up to ModSeq %d, and counts %d up to %d, those up to %d forgotten", n, last, s.tombs, s.expunged, s.floor)
	}
	if most := max(last, s.expunged, s.floor); most > s.modSeq {
		v.damage(DamageModSeq, 0, "a tombstone of ModSeq %d is beyond HIGHESTMODSEQ %d", most, s.modSeq)
		v.st.modSeq = max(v.st.modSeq, most)
	}
	return nil
}

// tombstone says what is wrong with one, "" when nothing is.
func (v *survey) tombstone(modSeq uint64, b []byte) string {
	set, err := parseTombstone(b)
	switch {
	case err != nil:
		return "can't be read"
	case modSeq <= v.had.floor:
		return fmt.Sprintf("should be forgotten, as ModSeq %d is", v.had.floor)
	case v.meets(set):
		return "is there still, or was never"
	}
	return ""
}

// meets reports whether a set has a UID that is there or was not given out.
func (v *survey) meets(set imap.UIDSet) bool {
	for _, r := range set {
		i, _ := slices.BinarySearchFunc(v.rows, uint32(r.Start), func(l listed, uid uint32) int { return cmp.Compare(l.uid, uid) })
		if i < len(v.rows) && v.rows[i].uid <= uint32(r.Stop) || uint32(r.Stop) >= max(v.had.next, v.top+1) {
			return true
		}
	}
	return false
}

var _ reading = (*engine.Tx)(nil)
