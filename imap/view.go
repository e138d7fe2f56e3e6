package imap

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// view is a mailbox as one session's client knows it: which messages there
// are, under which sequence numbers, with which flags. It changes only
// together with what the client is told (see update.go).
type view struct {
	box      storage.Mailbox
	name     string
	readOnly bool
	validity uint32
	next     imap.UID // UIDNEXT when the mailbox was selected

	entries  []entry // by ascending UID; entry i has sequence number i+1
	keywords keywordTable
	changed  uint64 // flags and arrivals up to this ModSeq are in entries
	expunged uint64 // expunges up to this ModSeq are taken out of entries
	owed     bool   // there may be expunges that could not be told yet

	attrs []attr     // of entries; nil until a command asks, and while idle
	saved []imap.UID // the saved search result (RFC 5182), sorted
}

// entry is what a view keeps of a message for as long as it is selected.
type entry struct {
	uid    imap.UID
	flags  uint32 // low octet: system flags and recentBit; the rest: a number in the keyword table
	modseq uint64
}

// attr is what never changes of a message, kept while commands use it.
type attr struct {
	size  int64
	sent  int64 // INTERNALDATE, seconds since 1970
	zone  int32 // of INTERNALDATE, seconds east
	known bool  // false: the message was expunged before it was asked for
}

const recentBit = 1 << 5

func (e *entry) system() storage.SystemFlags { return storage.SystemFlags(e.flags & 0x1f) }
func (e *entry) recent() bool                { return e.flags&recentBit != 0 }
func (e *entry) keywordSet() uint32          { return e.flags >> 8 }

func (v *view) flags(e *entry) storage.Flags {
	return storage.Flags{System: e.system(), Keywords: v.keywords.set(e.keywordSet()).flags}
}

// pack returns flags in an entry's form, keeping what else old says; grew
// tells of a keyword that was not seen before.
func (v *view) pack(old uint32, f storage.Flags) (packed uint32, grew bool) {
	n, grew := v.keywords.number(f.Keywords)
	return n<<8 | old&recentBit | uint32(f.System), grew
}

// load fills an empty view from the store.
func (v *view) load(ctx context.Context) error {
	st, err := v.box.Status(ctx)
	if err != nil {
		return err
	}
	v.validity, v.next = st.UIDValidity, st.UIDNext
	v.changed, v.expunged = st.HighestModSeq, st.HighestModSeq
	v.entries = make([]entry, 0, st.Messages)
	for m, err := range v.box.Messages(ctx, 0) {
		if err != nil {
			return err
		}
		v.append(m)
	}
	if n := len(v.entries); n > 0 {
		v.next = max(v.next, v.entries[n-1].uid+1)
	}
	return nil
}

func (v *view) append(m storage.Message) (grew bool) {
	packed, grew := v.pack(0, m.Flags)
	v.entries = append(v.entries, entry{uid: m.UID, flags: packed, modseq: m.ModSeq})
	if v.attrs != nil {
		v.attrs = append(v.attrs, newAttr(m))
	}
	return grew
}

func newAttr(m storage.Message) attr {
	_, zone := m.Date.Zone()
	return attr{size: m.Size, sent: m.Date.Unix(), zone: int32(zone), known: true}
}

// date is INTERNALDATE as the clock showed it in its zone; the Time says UTC.
func (a *attr) date() time.Time { return time.Unix(a.sent+int64(a.zone), 0).UTC() }

// loadAttrs makes attrs available.
func (v *view) loadAttrs(ctx context.Context) error {
	if v.attrs != nil {
		return nil
	}
	attrs := make([]attr, len(v.entries))
	i := 0
	for m, err := range v.box.Messages(ctx, 0) {
		if err != nil {
			return err
		}
		for i < len(v.entries) && v.entries[i].uid < m.UID {
			i++
		}
		if i < len(v.entries) && v.entries[i].uid == m.UID {
			attrs[i] = newAttr(m)
		}
	}
	v.attrs = attrs
	return nil
}

// takeRecent marks the messages that no session was told of before
// (RFC 3501 §2.3.2). from is the index of the first entry that may be one.
func (v *view) takeRecent(ctx context.Context, from int) error {
	r, ok := storage.As[storage.Recenter](v.box)
	if v.readOnly || !ok || from >= len(v.entries) {
		return nil
	}
	first, err := r.TakeRecent(ctx)
	if err != nil {
		return err
	}
	for i := len(v.entries) - 1; i >= from && v.entries[i].uid >= first; i-- {
		v.entries[i].flags |= recentBit
	}
	return nil
}

func (v *view) countRecent() (n uint64) {
	for i := range v.entries {
		if v.entries[i].recent() {
			n++
		}
	}
	return n
}

// find returns the index of a UID, or where it would stand.
func (v *view) find(uid imap.UID) (i int, ok bool) {
	return slices.BinarySearchFunc(v.entries, uid, func(e entry, uid imap.UID) int { return cmp.Compare(e.uid, uid) })
}

// last returns the largest UID, 0 when there is none.
func (v *view) last() imap.UID {
	if len(v.entries) == 0 {
		return 0
	}
	return v.entries[len(v.entries)-1].uid
}

// span is a range of indexes into a view's entries: from <= i < to.
type span struct{ from, to int }

// numKind says what the numbers of a command are.
type numKind int

const (
	bySeq numKind = iota
	byUID
)

// spans returns where the messages of a set stand, in order, no index twice.
// Sequence numbers beyond the last message are an error, UIDs that don't
// exist are skipped (RFC 9051 §6.4.9).
func (v *view) spans(set numSet, kind numKind) ([]span, error) {
	spans, beyond := v.clip(set, kind)
	if beyond {
		return nil, bad("No such message")
	}
	return spans, nil
}

// clip is spans, with sequence numbers that don't exist left out; beyond says
// that there were some.
func (v *view) clip(set numSet, kind numKind) (out []span, beyond bool) {
	if set.saved {
		return v.spansOf(v.saved), false
	}
	last := uint32(len(v.entries))
	if kind == byUID {
		last = uint32(v.last())
	}
	for _, r := range set.resolve(last) {
		var s span
		if kind == byUID {
			s = v.spanOfUIDs(r)
		} else {
			beyond = beyond || r.Start == 0 || r.Stop > last
			s = span{max(int(r.Start), 1) - 1, int(min(r.Stop, last))}
		}
		if s.from < s.to {
			out = append(out, s)
		}
	}
	return out, beyond
}

func (v *view) spanOfUIDs(r imap.SeqRange) (s span) {
	s.from, _ = v.find(imap.UID(r.Start))
	to, found := v.find(imap.UID(r.Stop))
	if found {
		to++
	}
	s.to = to
	return s
}

func (v *view) spansOf(uids []imap.UID) []span {
	var out []span
	for _, uid := range uids {
		i, ok := v.find(uid)
		switch {
		case !ok:
		case len(out) > 0 && out[len(out)-1].to == i:
			out[len(out)-1].to++
		default:
			out = append(out, span{i, i + 1})
		}
	}
	return out
}

// uidSet names the messages of spans to the store. A range may cover UIDs
// between two entries: those were expunged and never come back.
func (v *view) uidSet(spans []span) imap.UIDSet {
	set := make(imap.UIDSet, 0, len(spans))
	for _, s := range spans {
		set = append(set, imap.UIDRange{Start: v.entries[s.from].uid, Stop: v.entries[s.to-1].uid})
	}
	return set
}

// uidsWhere names the messages of spans that want holds for.
func (v *view) uidsWhere(spans []span, want func(*entry) bool) (set imap.UIDSet) {
	open := false // the last range may grow
	for _, s := range spans {
		for i := s.from; i < s.to; i++ {
			e := &v.entries[i]
			switch {
			case !want(e):
				open = false
			case open:
				set[len(set)-1].Stop = e.uid
			default:
				set = append(set, imap.UIDRange{Start: e.uid, Stop: e.uid})
				open = true
			}
		}
	}
	return set
}

// all is every message of the view.
func (v *view) all() []span {
	if len(v.entries) == 0 {
		return nil
	}
	return []span{{0, len(v.entries)}}
}

// deleted names the messages of spans that are marked for deletion.
func (v *view) deleted(spans []span) imap.UIDSet {
	return v.uidsWhere(spans, func(e *entry) bool { return e.system()&storage.Deleted != 0 })
}
