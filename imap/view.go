package imap

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// view is a mailbox as one session's client knows it: which messages there
// are, under which sequence numbers, with which flags. It moves to a newer
// snapshot only together with what the client is told (see update.go).
type view struct {
	box      storage.Mailbox
	name     string
	home     place          // of the mailbox
	rights   storage.Rights // of the session's user
	examined bool           // by EXAMINE: he does not want to change anything
	readOnly bool           // he can't

	board  *board // nil: that of a mailbox which load makes
	reader        // the snapshot that the client was told of
	owed   bool   // the snapshot has messages that are gone, which could not be told yet

	recent imap.UIDSet // messages that no session was told of before (RFC 3501 §2.3.2)
	saved  []imap.UID  // the saved search result (RFC 5182), sorted
}

// load fills an empty view.
func (v *view) load(ctx context.Context) error {
	if v.board == nil {
		v.board = newBoard(v.box.ID())
	}
	s, err := v.board.catchUp(ctx, v.box)
	if err == nil {
		v.show(s)
	}
	return err
}

// show moves the view to a snapshot.
func (v *view) show(s *snapshot) { v.reader = reader{snapshot: s} }

// takeRecent marks the messages that no session was told of before
// (RFC 3501 §2.3.2). from is the index of the first entry that may be one.
func (v *view) takeRecent(ctx context.Context, from int) error {
	r, ok := storage.As[storage.Recenter](v.box)
	if v.readOnly || !ok || from >= v.len() {
		return nil
	}
	first, err := r.TakeRecent(ctx)
	if err != nil {
		return err
	}
	first = max(first, v.at(from).uid)
	if last := v.last(); first <= last {
		v.recent.AddRange(first, last)
	}
	return nil
}

func (v *view) isRecent(e *entry) bool { return len(v.recent) > 0 && v.recent.Contains(e.uid) }

func (v *view) countRecent() (n uint64) {
	for _, r := range v.recent {
		s := v.spanOfUIDs(imap.SeqRange{Start: uint32(r.Start), Stop: uint32(r.Stop)})
		n += uint64(s.to - s.from)
	}
	return n
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
	last := uint32(v.len())
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
	c := cursor{refs: v.refs}
	for _, uid := range uids {
		if c.seek(uid) == nil {
			continue
		}
		if i := c.index(); len(out) > 0 && out[len(out)-1].to == i {
			out[len(out)-1].to++
		} else {
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
		set = append(set, imap.UIDRange{Start: v.at(s.from).uid, Stop: v.at(s.to - 1).uid})
	}
	return set
}

// uidsWhere names the messages of spans that want holds for.
func (v *view) uidsWhere(spans []span, want func(*entry) bool) (set imap.UIDSet) {
	for _, s := range spans {
		open := false // the last range may grow; what stands between two spans is not meant
		for i := s.from; i < s.to; i++ {
			e := v.at(i)
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
	if v.len() == 0 {
		return nil
	}
	return []span{{0, v.len()}}
}

// deleted names the messages of spans that are marked for deletion.
func (v *view) deleted(spans []span) imap.UIDSet {
	return v.uidsWhere(spans, func(e *entry) bool { return e.system()&storage.Deleted != 0 })
}
