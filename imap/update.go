package imap

import (
	"context"
	"errors"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// updates says which changes of the selected mailbox a client may be told.
type updates int

const (
	noUpdates     updates = iota
	allButExpunge         // while sequence numbers are in use (RFC 3501 §7.4.1)
	allUpdates
)

// update brings the view up to date with the store and tells the client what
// changed. It asks the store only after the store has said that something
// changed.
func (s *session) update(ctx context.Context, which updates) error {
	v := s.view
	if err := s.recheck(ctx); err != nil && which != noUpdates {
		return err
	}
	if v == nil || which == noUpdates {
		return nil
	}
	if !s.dirty.Swap(false) && (!v.owed || which == allButExpunge) {
		return nil
	}
	n, err := v.refresh(ctx, which)
	s.tell(v, n) // with an error too: what was found is in the view now
	if err != nil {
		s.dirty.Store(true)
		if errors.Is(err, storage.ErrNoMailbox) {
			return errMailboxGone
		}
	}
	return err
}

// refresh asks the store for everything that happened since the last time.
// HighestModSeq is asked first: what happens in between is seen now or is
// seen again the next time, and seeing it twice changes nothing.
func (v *view) refresh(ctx context.Context, which updates) (n news, err error) {
	st, err := v.box.Status(ctx)
	if err != nil {
		return n, err
	}
	before := v.len()
	var fresh []storage.Message
	for m, err := range v.box.Messages(ctx, v.changed) {
		if err != nil {
			return n, err
		}
		if m.UID > v.last() {
			fresh = append(fresh, m)
			continue
		}
		if i, ok := v.find(m.UID); ok {
			v.change(i, m, &n)
		}
	}
	v.owed = which != allUpdates
	if which == allUpdates {
		removed, err := v.removed(ctx)
		if err != nil {
			return n, err
		}
		n.gone = v.drop(removed, &n)
		fresh = slices.DeleteFunc(fresh, func(m storage.Message) bool { return removed.Contains(m.UID) })
		before = v.len()
		v.expunged = st.HighestModSeq
	}
	for _, m := range fresh {
		n.keyword = v.append(m) || n.keyword
		n.arrived = true
	}
	v.changed = st.HighestModSeq
	v.forgetKeywords()
	return n, v.takeRecent(ctx, before)
}

// change takes over a message's new flags.
func (v *view) change(i int, m storage.Message, n *news) {
	e := v.at(i)
	if m.ModSeq <= e.modseq {
		return
	}
	packed, grew := v.pack(m.Flags)
	differs := packed != e.flags && !v.flags(e).Equal(m.Flags)
	e.flags, e.modseq = packed, m.ModSeq
	n.keyword = n.keyword || grew
	n.changed = append(n.changed, changed{i, differs})
}

// removed returns the UIDs that were expunged since the last time, or, when
// the store does not remember that far, those that it no longer has.
func (v *view) removed(ctx context.Context) (imap.UIDSet, error) {
	set, err := v.box.Expunged(ctx, v.expunged)
	if !errors.Is(err, storage.ErrResync) {
		return set, err
	}
	set = nil
	i := 0
	missing := func(until imap.UID) {
		for ; i < v.len() && v.at(i).uid < until; i++ {
			set = append(set, imap.UIDRange{Start: v.at(i).uid, Stop: v.at(i).uid})
		}
	}
	for m, err := range v.box.Messages(ctx, 0) {
		if err != nil {
			return nil, err
		}
		missing(m.UID)
		if i < v.len() && v.at(i).uid == m.UID {
			i++
		}
	}
	missing(v.last() + 1)
	return set, nil
}

// drop takes entries out of the view and returns the indexes they had.
// Indexes in n are moved to where they stand afterwards.
func (v *view) drop(uids imap.UIDSet, n *news) (gone []int) {
	for _, r := range uids {
		from, _ := v.find(r.Start)
		for i := from; i < v.len() && v.at(i).uid <= r.Stop; i++ {
			gone = append(gone, i)
			n.goneUID.AddNum(v.at(i).uid)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	slices.Sort(gone)
	gone = slices.Compact(gone)
	v.entries = without(v.entries, gone)
	kept := n.changed[:0]
	k := 0
	for _, c := range n.changed {
		for k < len(gone) && gone[k] < c.i {
			k++
		}
		if k == len(gone) || gone[k] != c.i {
			kept = append(kept, changed{c.i - k, c.flags})
		}
	}
	n.changed = kept
	return gone
}

// without returns s without the elements at the indexes of gone, which are sorted.
func without[T any](s []T, gone []int) []T {
	to := gone[0]
	for k, g := range gone {
		end := len(s)
		if k+1 < len(gone) {
			end = gone[k+1]
		}
		to += copy(s[to:], s[g+1:end])
	}
	clear(s[to:])
	return s[:to]
}
