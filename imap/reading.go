package imap

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// reading gives the contents of the messages of spans, which are asked for in
// their order. Where the store can, it reads them in a row.
type reading struct {
	contents
	view     *view
	spans    []span           // of messages that were not named to sequence
	sequence storage.Sequence // nil: the mailbox itself is asked
	named    int              // messages that were named and not reached
}

// contents is where messages come from: a mailbox, or a sequence of it.
type contents interface {
	Index(ctx context.Context, uid imap.UID) (*message.Part, error)
	Open(ctx context.Context, uid imap.UID) (message.OpenBody, error)
}

// newReading prepares to read what n needs of the messages of spans.
func newReading(v *view, n needs, spans []span) *reading {
	r := &reading{contents: v.box, view: v, spans: append([]span(nil), spans...)}
	var what storage.SequenceOf
	if n&needIndex != 0 {
		what |= storage.SequenceOfIndexes
	}
	if n&needBody != 0 {
		what |= storage.SequenceOfBodies
	}
	if s, ok := storage.As[storage.Sequencer](v.box); ok && what != 0 && (len(spans) > 1 || spans[0].to-spans[0].from > 1) {
		r.sequence = s.Sequence(what)
		r.contents = r.sequence
	}
	return r
}

// next is called before each message.
func (r *reading) next(ctx context.Context) error {
	if r.sequence == nil {
		return nil
	}
	if r.named > 0 {
		r.named--
		return nil
	}
	uids := make([]imap.UID, 0, storage.MaxSequence)
	for len(r.spans) > 0 && len(uids) < storage.MaxSequence {
		s := &r.spans[0]
		for ; s.from < s.to && len(uids) < storage.MaxSequence; s.from++ {
			uids = append(uids, r.view.at(s.from).uid)
		}
		if s.from == s.to {
			r.spans = r.spans[1:]
		}
	}
	r.named = len(uids) - 1
	return r.sequence.Next(ctx, uids)
}

func (r *reading) close() {
	if r.sequence != nil {
		r.sequence.Close()
	}
}
