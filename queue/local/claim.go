package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/queue"
)

// claim is what a lease was given out with.
type claim struct {
	total      uint32
	recipients []*recipient // as in the lease's entries
	body       *body
}

// Claim leases what is due, a group of each destination in turn.
func (q *Queue) Claim(ctx context.Context, n int, lease time.Duration) ([]queue.Claim, error) {
	if err := q.ready(ctx); err != nil {
		return nil, err
	}
	var claims []queue.Claim
	for len(claims) < n {
		leases, err := q.take(ctx, n-len(claims), lease)
		if len(leases) == 0 && len(claims) == 0 && err != nil {
			return nil, fmt.Errorf("claim: %w", err)
		}
		if err != nil {
			q.log.Error("waiting recipients can't be read", "error", err)
		}
		if len(leases) == 0 {
			break
		}
		for _, l := range leases {
			c, err := q.give(l)
			if errors.Is(err, queue.ErrLeaseLost) {
				continue
			}
			if err != nil {
				// The lease stays, so that a message that can't be read comes
				// again when it ends and delays nobody until then.
				q.log.Error("queued message can't be read", "id", l.entries[0].id, "destination", l.d.name, "error", err)
				continue
			}
			claims = append(claims, c)
		}
	}
	return claims, nil
}

// take leases groups, reading the index for destinations whose head is empty.
func (q *Queue) take(ctx context.Context, n int, lease time.Duration) ([]*lease, error) {
	for {
		now := q.clock()
		q.mu.Lock()
		ended := q.schedule.advance(stamp(now))
		if len(ended) > 0 {
			q.notify()
		}
		leases, fill := q.schedule.take(n, stamp(now), stamp(now.Add(lease)))
		q.mu.Unlock()
		release(ended)
		var failed error
		for _, d := range fill {
			if err := q.fill(ctx, d); err != nil {
				failed = errors.Join(failed, err)
			}
		}
		if len(leases) > 0 || len(fill) == 0 || failed != nil {
			return leases, failed
		}
	}
}

// fill reads the next waiting recipients of a destination into its head.
func (q *Queue) fill(ctx context.Context, d *destination) error {
	var read []entry
	horizon := end
	err := q.engine.Scan(ctx, markKey(d.name, d.horizon), destinationEnd(d.name), func(k, _ []byte) error {
		_, e, ok := parseEntryKey(k)
		if !ok {
			return fmt.Errorf("%w: key %x", ErrDamaged, k)
		}
		if len(read) >= headSize && e.mark() != read[len(read)-1].mark() {
			horizon = e.mark()
			return errStop
		}
		read = append(read, e)
		return nil
	})
	if err != nil && !errors.Is(err, errStop) {
		q.update(func(s *schedule, now int64) { s.unfill(d, now) })
		return fmt.Errorf("destination %q: %w", d.name, err)
	}
	q.update(func(s *schedule, now int64) { s.fill(d, read, horizon, now) })
	return nil
}

// give reads what a lease is about and makes the claim of it.
func (q *Queue) give(l *lease) (queue.Claim, error) {
	id := l.entries[0].id
	v, only, err := q.message(id)
	if err != nil {
		return queue.Claim{}, err
	}
	c := queue.Claim{
		ID: queue.ID(id), Lease: l.id, Destination: l.d.name, From: v.from,
		Received: moment(v.received), Session: v.session, Until: moment(l.until),
	}
	c.Envelope.From, c.Envelope.Options = v.from, v.options
	held := &claim{total: v.total}
	for _, e := range l.entries {
		r := only
		if r == nil {
			if r, err = q.recipient(e.name()); err != nil {
				return queue.Claim{}, err
			}
		}
		held.recipients = append(held.recipients, r)
		c.Envelope.Recipients = append(c.Envelope.Recipients, r.to)
		c.States = append(c.States, r.state)
	}
	held.body = &body{engine: q.engine, id: id, size: v.size}
	c.Body = message.Join(v.prefix, held.body)

	q.mu.Lock()
	defer q.mu.Unlock()
	if q.schedule.leases[l.id] != l {
		return queue.Claim{}, queue.ErrLeaseLost
	}
	l.claim = held
	return c, nil
}

// message reads a message, with its recipient if that is the only one.
func (q *Queue) message(id engine.BlobID) (*envelope, *recipient, error) {
	b, ok, err := q.engine.Get(messageKey(id))
	if err != nil {
		return nil, nil, err
	}
	if !ok {
		return nil, nil, fmt.Errorf("message %d: %w", id, queue.ErrNotQueued)
	}
	v, r, err := decodeMessage(b)
	if err != nil {
		return nil, nil, fmt.Errorf("message %d: %w", id, err)
	}
	return v, r, nil
}

// recipient reads a recipient, wherever its record is.
func (q *Queue) recipient(n name) (*recipient, error) {
	b, ok, err := q.engine.Get(recipientKey(n.id, n.number))
	if err != nil {
		return nil, err
	}
	if !ok {
		_, only, err := q.message(n.id)
		if err == nil && (only == nil || n.number != 0) {
			err = fmt.Errorf("message %d, recipient %d: %w", n.id, n.number, queue.ErrNotQueued)
		}
		return only, err
	}
	r, err := decodeRecipient(b)
	if err != nil {
		return nil, fmt.Errorf("message %d, recipient %d: %w", n.id, n.number, err)
	}
	return r, nil
}

// release closes the contents of leases that are no longer held. The lock is
// not held.
func release(ended []*lease) {
	for _, l := range ended {
		if l.claim != nil {
			l.claim.body.close()
		}
	}
}

// body is the content of a claim. It is opened by the first read.
type body struct {
	engine *engine.Engine
	id     engine.BlobID
	size   int64

	mu     sync.RWMutex
	opened message.OpenBody
	closed bool
}

func (b *body) Size() int64 { return b.size }

// ReadAt fails with fs.ErrClosed once the claim has ended.
func (b *body) ReadAt(p []byte, off int64) (int, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.opened == nil && !b.closed {
		b.mu.RUnlock()
		err := b.open()
		b.mu.RLock()
		if err != nil {
			return 0, err
		}
	}
	if b.closed {
		return 0, fmt.Errorf("content of an ended claim: %w", fs.ErrClosed)
	}
	return b.opened.ReadAt(p, off)
}

func (b *body) open() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.opened != nil {
		return nil
	}
	opened, err := b.engine.Open(b.id)
	if err == nil {
		b.opened = opened
	}
	return err
}

func (b *body) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.opened != nil && !b.closed {
		_ = b.opened.Close() // it was only read
	}
	b.closed = true
}
