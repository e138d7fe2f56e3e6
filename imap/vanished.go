package imap

import (
	"context"
	"errors"
	"math"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// vanishing asks for the UIDs that are gone since a mod-sequence.
type vanishing struct {
	since uint64
	known []imap.SeqRange // among these, ascending; nil: among all
	match *seqMatch       // when the store does not remember; nil: nothing is known
}

// vanished returns the UIDs that are gone, ascending. When the store does not
// remember that far, those are all that no message has. What the view still
// has is not among them: it is told when the view loses it.
func (v *view) vanished(ctx context.Context, w *vanishing) ([]imap.SeqRange, error) {
	set, err := v.box.Expunged(ctx, w.since)
	var gone []imap.SeqRange
	switch {
	case errors.Is(err, storage.ErrResync):
		if gone, err = v.missing(ctx, w.match.floor(v)); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	default:
		gone = rangesOf(set)
	}
	if w.known != nil {
		gone = common(gone, w.known)
	}
	return v.lacking(gone), nil
}

// rangesOf puts a set from a store in order.
func rangesOf(set imap.UIDSet) []imap.SeqRange {
	var n numSet
	for _, r := range set {
		n.ranges = append(n.ranges, imap.SeqRange{Start: uint32(r.Start), Stop: uint32(r.Stop)})
	}
	return n.resolve(0)
}

// missing returns the UIDs above floor that were given once and that no
// message of the view has.
func (v *view) missing(ctx context.Context, floor imap.UID) (gone []imap.SeqRange, err error) {
	st, err := v.box.Status(ctx)
	if err != nil {
		return nil, err
	}
	next := uint32(floor) + 1 // the first that may be missing
	until := func(uid uint32) {
		if next != 0 && next < uid {
			gone = append(gone, imap.SeqRange{Start: next, Stop: uid - 1})
		}
		next = uid + 1
	}
	from, _ := v.find(floor + 1)
	for i := from; i < v.len(); i++ {
		until(uint32(v.at(i).uid))
	}
	until(max(uint32(st.UIDNext), next))
	return gone, nil
}

// common returns what is in both of two ascending sets.
func common(a, b []imap.SeqRange) (out []imap.SeqRange) {
	for len(a) > 0 && len(b) > 0 {
		r := imap.SeqRange{Start: max(a[0].Start, b[0].Start), Stop: min(a[0].Stop, b[0].Stop)}
		if r.Start <= r.Stop {
			out = append(out, r)
		}
		if a[0].Stop < b[0].Stop {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return out
}

// lacking returns a set without the UIDs of the view's messages.
func (v *view) lacking(set []imap.SeqRange) (out []imap.SeqRange) {
	for _, r := range set {
		next := r.Start
		i, _ := v.find(imap.UID(r.Start))
		for ; i < v.len() && uint32(v.at(i).uid) <= r.Stop; i++ {
			uid := uint32(v.at(i).uid)
			if next < uid {
				out = append(out, imap.SeqRange{Start: next, Stop: uid - 1})
			}
			next = uid + 1
		}
		if next != 0 && next <= r.Stop {
			out = append(out, imap.SeqRange{Start: next, Stop: r.Stop})
		}
	}
	return out
}

// maxVanished bounds the ranges of one VANISHED response: some clients read
// lines into small buffers.
const maxVanished = 500

// tellVanished sends VANISHED (RFC 7162 §3.2.10), in several responses when it
// is much. which is " (EARLIER) " or " ".
func (s *session) tellVanished(which string, gone []imap.SeqRange) {
	for len(gone) > 0 {
		n := min(len(gone), maxVanished)
		s.out.text("* VANISHED")
		s.out.text(which)
		for k, r := range gone[:n] {
			if k > 0 {
				s.out.byte(',')
			}
			s.out.number(uint64(r.Start))
			if r.Stop > r.Start {
				s.out.byte(':')
				s.out.number(uint64(r.Stop))
			}
		}
		s.out.end()
		gone = gone[n:]
	}
}

// tellEarlier sends which of the UIDs that a UID FETCH names are gone.
func (r *fetchRequest) tellEarlier(ctx context.Context, s *session) error {
	if !s.enabled(qresync) {
		return errNotResync
	}
	v := s.view
	known := r.set.resolve(math.MaxUint32) // "*" may be one that is gone
	if r.set.saved {
		for _, uid := range v.saved {
			known = append(known, imap.SeqRange{Start: uint32(uid), Stop: uint32(uid)})
		}
	}
	gone, err := v.vanished(ctx, &vanishing{since: r.since, known: known})
	if err != nil {
		return err
	}
	s.tellVanished(" (EARLIER) ", gone)
	return nil
}
