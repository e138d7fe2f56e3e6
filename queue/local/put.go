package local

import (
	"context"
	"fmt"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/queue"
)

// incoming is a message ready to be written: everything but its id, which the
// log gives.
type incoming struct {
	envelope   []byte   // nil: it is in the record of the only recipient
	recipients [][]byte // records
	entries    []entry  // without the id until build
	where      []string
	id         engine.BlobID
}

// prepare encodes a message outside of the committer.
func (q *Queue) prepare(m *queue.Message, body message.Body) (*incoming, error) {
	m = withDestinations(m)
	if err := m.Check(); err != nil {
		return nil, err
	}
	now := q.clock()
	v := &envelope{
		from: m.Envelope.From, options: m.Envelope.Options, total: uint32(len(m.Envelope.Recipients)),
		received: now.UnixNano(), session: m.Session, prefix: m.Prefix, size: body.Size(),
	}
	if !m.Received.IsZero() {
		v.received = m.Received.UnixNano()
	}
	due := stamp(now)
	if !m.NotBefore.IsZero() {
		due = stamp(m.NotBefore)
	}
	in, only := new(incoming), v
	if v.total > 1 {
		only = nil
		var err error
		if in.envelope, err = v.appendTo(nil); err != nil {
			return nil, err
		}
	}
	for i, to := range m.Envelope.Recipients {
		r := &recipient{to: to, destination: m.Destination(i), due: due, message: only}
		b, err := r.encode()
		if err != nil {
			return nil, err
		}
		in.recipients = append(in.recipients, b)
		in.entries = append(in.entries, entry{due: due, number: uint32(i)})
		in.where = append(in.where, r.destination)
	}
	return in, nil
}

// withDestinations returns m with its destinations written out, since they are
// asked for more than once.
func withDestinations(m *queue.Message) *queue.Message {
	if m.Destinations != nil {
		return m
	}
	c := *m
	c.Destinations = make([]string, len(m.Envelope.Recipients))
	for i := range c.Destinations {
		c.Destinations[i] = m.Destination(i)
	}
	return &c
}

// build writes the message's keys. The body of the change is its content.
func (in *incoming) build(tx *engine.Tx) {
	in.id = tx.Blob()
	tx.Ref(in.id, 1)
	if in.envelope == nil {
		tx.Set(messageKey(in.id), in.recipients[0])
	} else {
		tx.Set(messageKey(in.id), in.envelope)
		tx.Set(recipientKey(in.id, leftNumber), encodeLeft(len(in.entries)))
	}
	for i := range in.entries {
		in.entries[i].id = in.id
		if in.envelope != nil {
			tx.Set(recipientKey(in.id, in.entries[i].number), in.recipients[i])
		}
		tx.Set(entryKey(in.where[i], in.entries[i]), nil)
	}
}

// publish makes the message known once it is durable.
func (q *Queue) publish(in *incoming) {
	q.update(func(s *schedule, now int64) {
		for i, e := range in.entries {
			s.add(in.where[i], e, now)
		}
	})
}

// empty is the content of a message without one.
var empty = message.FromBytes(nil)

// Put stores a message as one record of the log.
func (q *Queue) Put(ctx context.Context, m *queue.Message) (queue.ID, error) {
	if err := q.ready(ctx); err != nil {
		return 0, err
	}
	body := m.Body
	if body == nil {
		body = empty
	}
	in, err := q.prepare(m, body)
	if err != nil {
		return 0, err
	}
	err = q.commit(ctx, &engine.Change{
		Body:  body,
		Build: func(tx *engine.Tx) error { in.build(tx); return nil },
		Done:  func() { q.publish(in) },
	})
	if err != nil {
		return 0, fmt.Errorf("put into the queue: %w", err)
	}
	return queue.ID(in.id), nil
}
