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

// news is what a refresh of a view found.
type news struct {
	arrived bool
	keyword bool  // a keyword was seen for the first time
	flags   []int // indexes of entries whose flags changed
	gone    []int // indexes, as they were before, of entries that are no more
}

// update brings the view up to date with the store and tells the client what
// changed. It asks the store only after the store has said that something
// changed.
func (s *session) update(ctx context.Context, which updates) error {
	v := s.view
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
	before := len(v.entries)
	var fresh []storage.Message
	for m, err := range v.box.Messages(ctx, v.changed) {
		if err != nil {
			return n, err
		}
		if m.UID > v.last() {
			fresh = append(fresh, m)
			continue
		}
		if i, ok := v.find(m.UID); ok && v.change(i, m, &n) {
			n.flags = append(n.flags, i)
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
		before = len(v.entries)
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

// change takes over a message's new flags. It reports whether they differ.
func (v *view) change(i int, m storage.Message, n *news) bool {
	e := &v.entries[i]
	if m.ModSeq <= e.modseq {
		return false
	}
	packed, grew := v.pack(e.flags, m.Flags)
	differs := packed != e.flags && !v.flags(e).Equal(m.Flags)
	e.flags, e.modseq = packed, m.ModSeq
	n.keyword = n.keyword || grew
	return differs
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
		for ; i < len(v.entries) && v.entries[i].uid < until; i++ {
			set = append(set, imap.UIDRange{Start: v.entries[i].uid, Stop: v.entries[i].uid})
		}
	}
	for m, err := range v.box.Messages(ctx, 0) {
		if err != nil {
			return nil, err
		}
		missing(m.UID)
		if i < len(v.entries) && v.entries[i].uid == m.UID {
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
		for i := from; i < len(v.entries) && v.entries[i].uid <= r.Stop; i++ {
			gone = append(gone, i)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	slices.Sort(gone)
	gone = slices.Compact(gone)
	v.entries = without(v.entries, gone)
	if v.attrs != nil {
		v.attrs = without(v.attrs, gone)
	}
	kept := n.flags[:0]
	slices.Sort(n.flags)
	k := 0
	for _, i := range n.flags {
		for k < len(gone) && gone[k] < i {
			k++
		}
		if k == len(gone) || gone[k] != i {
			kept = append(kept, i-k)
		}
	}
	n.flags = kept
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

// tell sends the untagged responses of a refresh: expunges from the last on,
// so that each number means what it meant before, then what there is now.
func (s *session) tell(v *view, n news) {
	o := &s.out
	for _, i := range slices.Backward(n.gone) {
		o.text("* ")
		o.number(uint64(i + 1))
		o.text(" EXPUNGE")
		o.end()
	}
	if n.arrived {
		s.tellExists(v)
	}
	if n.keyword {
		s.tellFlags(v)
	}
	for _, i := range n.flags {
		s.tellFetchFlags(v, i)
	}
}

func (s *session) tellExists(v *view) {
	s.out.text("* ")
	s.out.number(uint64(len(v.entries)))
	s.out.text(" EXISTS")
	s.out.end()
	if !s.rev2 {
		s.out.text("* ")
		s.out.number(v.countRecent())
		s.out.text(" RECENT")
		s.out.end()
	}
}

// tellFlags sends the flags that the mailbox knows (RFC 9051 §7.3.5).
func (s *session) tellFlags(v *view) {
	s.out.text("* FLAGS ")
	s.out.flagNames(v, "")
	s.out.end()
}

func (s *session) tellFetchFlags(v *view, i int) {
	o := &s.out
	o.text("* ")
	o.number(uint64(i + 1))
	o.text(" FETCH (UID ")
	o.number(uint64(v.entries[i].uid))
	o.text(" FLAGS (")
	o.flags(v, &v.entries[i])
	o.text("))")
	o.end()
}

// flagNames writes all flags of a mailbox, and more after them.
func (o *output) flagNames(v *view, more string) {
	o.byte('(')
	o.text(systemTexts[recentBit-1])
	for _, k := range v.keywords.names {
		o.byte(' ')
		o.text(string(k))
	}
	o.text(more)
	o.byte(')')
}

// flags writes an entry's flags without parentheses.
func (o *output) flags(v *view, e *entry) {
	bits := e.flags & 0x3f
	if o.utf8 { // IMAP4rev2 has no \Recent
		bits &^= recentBit
	}
	o.text(systemTexts[bits])
	if set := e.keywordSet(); set != 0 {
		text := v.keywords.sets[set].text
		if bits == 0 {
			text = text[1:]
		}
		o.text(text)
	}
}
