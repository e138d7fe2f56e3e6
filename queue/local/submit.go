package local

import (
	"context"
	"errors"
	"fmt"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/queue"
	"github.com/posthouse-mail/posthouse/storage"
	storagelocal "github.com/posthouse-mail/posthouse/storage/local"
)

// New opens the queue that lives in the log and index of a store. Only one
// Queue of a store may be open at a time. Close it before the store.
func New(s *storagelocal.Store, o Options) (*Queue, error) {
	q, err := open(s.Engine(), o)
	if err != nil {
		return nil, err
	}
	q.store = s
	return q, nil
}

var errNoStore = errors.New("the queue has no store to deliver to")

// Submit delivers a message to mailboxes and puts it into the queue as one
// record of the log: the body is written once, and both are durable with one
// sync, or neither is. A receipt with an error was not stored, as in
// storage.Store; the message is in the queue nevertheless.
//
// d or m may be nil. If neither is, they are about the same content: d.Body is
// what is written, and m.Body is not looked at.
func (q *Queue) Submit(ctx context.Context, d *storage.Delivery, m *queue.Message) ([]storage.Receipt, queue.ID, error) {
	switch {
	case d == nil && m == nil:
		return nil, 0, nil
	case d == nil:
		id, err := q.Put(ctx, m)
		return nil, id, err
	case q.store == nil:
		return nil, 0, errNoStore
	case m == nil:
		receipts, err := q.store.Deliver(ctx, d)
		return receipts, 0, err
	}
	if err := q.ready(ctx); err != nil {
		return nil, 0, err
	}
	if d.Body == nil {
		c := *d
		c.Body = empty
		d = &c
	}
	in, err := q.prepare(m, d.Body)
	if err != nil {
		return nil, 0, err
	}
	staged, err := q.store.Prepare(ctx, d)
	if err != nil {
		return nil, 0, err
	}
	c := staged.Change(func(tx *engine.Tx) error { in.build(tx); return nil })
	c.Done = func() { staged.Done(); q.publish(in) }
	if err := staged.Try(ctx, func() error { return q.commit(ctx, c) }); err != nil {
		return nil, 0, fmt.Errorf("submit: %w", err)
	}
	return staged.Receipts(), queue.ID(in.id), nil
}
