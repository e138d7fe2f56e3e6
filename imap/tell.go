package imap

import (
	"context"
	"slices"

	"github.com/emersion/go-imap/v2"
)

// news is what a refresh of a view found.
type news struct {
	arrived bool
	from    int         // index of the first that arrived
	keyword bool        // a keyword was seen for the first time
	changed []changed   // messages that the client knew, by ascending index
	gone    []int       // indexes, as they were before, of entries that are no more
	goneUID imap.UIDSet // the UIDs of gone
}

// changed is a message with a new ModSeq.
type changed struct {
	i     int  // index after the refresh
	flags bool // the flags differ from what the client knew
}

// tell sends the untagged responses of a refresh: expunges from the last on,
// so that each number means what it meant before, then what there is now.
func (s *session) tell(ctx context.Context, v *view, n news) {
	o := &s.out
	s.tellGone(n.gone, n.goneUID)
	s.vanished = s.vanished || len(n.gone) > 0
	if s.enabled(qresync | uidOnly) {
		s.tellVanished(" ", rangesOf(n.goneUID))
		n.gone = nil
	}
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
	for _, c := range n.changed {
		if (c.flags || s.enabled(condstore)) && s.wantsFlags() {
			s.tellFetchFlags(v, c.i)
		}
	}
	if n.arrived {
		s.tellItems(ctx, v, n.from)
	}
}

// wantsFlags reports whether the client wants to know of flags that others
// changed (RFC 5465 §5.1).
func (s *session) wantsFlags() bool {
	n := s.notify.Load()
	return n == nil || n.selected.events&flagChange != 0
}

func (s *session) tellExists(v *view) {
	s.out.text("* ")
	s.out.number(uint64(v.len()))
	s.out.text(" EXISTS")
	s.out.end()
	if !s.enabled(rev2) {
		s.out.text("* ")
		s.out.number(v.countRecent())
		s.out.text(" RECENT")
		s.out.end()
	}
}

// tellFlags sends the flags that the mailbox knows (RFC 9051 §7.3.5).
func (s *session) tellFlags(v *view) {
	s.out.text("* FLAGS ")
	s.out.flagNames(v)
	s.out.end()
}

func (s *session) tellFetchFlags(v *view, i int) {
	o, e := &s.out, v.at(i)
	s.beginFetch(v, i)
	if !s.enabled(uidOnly) {
		o.text("UID ")
		o.number(uint64(e.uid))
		o.byte(' ')
	}
	o.text("FLAGS (")
	o.flags(v, e)
	o.byte(')')
	if s.enabled(condstore) {
		o.byte(' ')
		s.modSeqOf(e)
	}
	o.byte(')')
	o.end()
}

// flagNames writes all flags of a mailbox.
func (o *output) flagNames(v *view) {
	o.byte('(')
	o.text(systemTexts[recentBit-1])
	for _, k := range v.keywords.names {
		o.byte(' ')
		o.text(string(k))
	}
	o.byte(')')
}

// flags writes an entry's flags without parentheses.
func (o *output) flags(v *view, e *entry) {
	bits := e.flags & 0x1f
	if !o.rev2 && v.isRecent(e) {
		bits |= recentBit
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
