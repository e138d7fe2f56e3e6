package local

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// Sequence reads many messages one after the other: it looks up the records,
// indexes and bodies of a group at a time, and reads the log ahead.
func (m *mailbox) Sequence(what storage.SequenceOf) storage.Sequence {
	return &sequence{mailbox: m, what: what, reader: m.s.e.NewReader()}
}

type sequence struct {
	*mailbox
	what   storage.SequenceOf
	reader *engine.Reader
	named  []inSequence // in the order of Next
	at     int          // in named, where the next question is expected
	parts  message.Decoder
}

// inSequence is a message that Next named and found.
type inSequence struct {
	rec   record
	index *message.Part // of the body; nil: not looked up, or not cached
}

// Next looks the messages up.
func (q *sequence) Next(ctx context.Context, uids []imap.UID) error {
	if len(uids) > storage.MaxSequence {
		return fmt.Errorf("a sequence of %d messages: %w", len(uids), storage.ErrLimit)
	}
	q.named, q.at = q.named[:0], 0
	q.parts.Reset()
	if _, err := q.ready(ctx); err != nil {
		return err
	}
	keys := make([][]byte, len(uids))
	for i, uid := range uids {
		keys[i] = messageKey(q.id, uint32(uid))
	}
	err := q.s.e.GetMany(keys, func(i int, v []byte) error {
		rec, err := parseRecord(uint32(uids[i]), v)
		if err != nil {
			return nil // whoever asks for it is told
		}
		rec.prefix = slices.Clone(rec.prefix)
		q.named = append(q.named, inSequence{rec: rec})
		return nil
	})
	if err == nil && q.what&storage.SequenceOfIndexes != 0 {
		err = q.lookUpIndexes()
	}
	if err == nil && q.what&storage.SequenceOfBodies != 0 {
		err = q.lookUpBodies()
	}
	return failure(err)
}

func (q *sequence) lookUpIndexes() error {
	keys := make([][]byte, len(q.named))
	for i := range q.named {
		keys[i] = indexKey(q.named[i].rec.place)
	}
	return q.s.e.GetMany(keys, func(i int, v []byte) error {
		if index, err := q.parts.Decode(v); err == nil { // else it is made again
			q.named[i].index = index
		}
		return nil
	})
}

func (q *sequence) lookUpBodies() error {
	ids := make([]engine.BlobID, 0, len(q.named))
	for i := range q.named {
		if id := q.named[i].rec.blob; id != 0 && (len(ids) == 0 || ids[len(ids)-1] != id) {
			ids = append(ids, id)
		}
	}
	return q.reader.Prepare(ids)
}

// find returns a message that Next found.
func (q *sequence) find(uid imap.UID) (*inSequence, bool) {
	for range q.named {
		if q.at == len(q.named) {
			q.at = 0
		}
		if n := &q.named[q.at]; n.rec.uid == uint32(uid) {
			return n, true
		}
		q.at++
	}
	return nil, false
}

// Index is that of the mailbox.
func (q *sequence) Index(ctx context.Context, uid imap.UID) (*message.Part, error) {
	n, ok := q.find(uid)
	if !ok || n.index == nil {
		return q.mailbox.Index(ctx, uid)
	}
	return q.withPrefix(ctx, &n.rec, n.index)
}

// Open is that of the mailbox.
func (q *sequence) Open(ctx context.Context, uid imap.UID) (message.OpenBody, error) {
	n, ok := q.find(uid)
	if !ok || n.rec.blob == 0 {
		return q.mailbox.Open(ctx, uid)
	}
	body, err := q.reader.Open(n.rec.blob)
	if err != nil {
		return q.mailbox.Open(ctx, uid) // perhaps the message is gone; it says what is wrong
	}
	size := n.rec.bodySize()
	if n.rec.offset+size > body.Size() {
		return nil, fmt.Errorf("content of mailbox %d message %d: %w", q.id, uid, ErrDamaged)
	}
	if n.rec.offset > 0 || size < body.Size() {
		body = io.NewSectionReader(body, n.rec.offset, size)
	}
	return lent{message.Join(n.rec.prefix, body)}, nil
}

// lent is a body that its reader closes.
type lent struct{ message.Body }

func (lent) Close() error { return nil }

// Close gives back what the sequence holds.
func (q *sequence) Close() { q.reader.Close() }
