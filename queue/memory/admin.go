package memory

import (
	"context"
	"maps"
	"slices"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/queue"
)

// List yields every recipient, by message. It lists what was queued when it
// began and holds no lock while it yields.
func (q *Queue) List(ctx context.Context, yield func(queue.Entry) bool) error {
	entries, err := q.entries(ctx)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !yield(e) {
			return nil
		}
	}
	return nil
}

func (q *Queue) entries(ctx context.Context) ([]queue.Entry, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.ready(ctx); err != nil {
		return nil, err
	}
	q.expire(q.Now())
	var entries []queue.Entry
	for _, id := range slices.Sorted(maps.Keys(q.messages)) {
		for _, r := range q.messages[id].recipients {
			e := queue.Entry{
				ID: id, From: r.envelope.From, To: r.to.To, Destination: r.destination, Size: r.body.Size(),
				Received: r.received, Next: r.next, Attempts: r.state.Attempts, Claimed: r.lease != nil,
			}
			if r.state.Last != nil {
				e.LastReply = r.state.Last.Error()
			}
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// Content returns the content of a queued message.
func (q *Queue) Content(ctx context.Context, id queue.ID) (message.OpenBody, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.ready(ctx); err != nil {
		return nil, err
	}
	h := q.messages[id]
	if h == nil {
		return nil, queue.ErrNotQueued
	}
	return h.body.(content), nil
}

// Retry makes recipients due now.
func (q *Queue) Retry(ctx context.Context, ids []queue.ID) (int, error) {
	return q.hasten(ctx, func(r *recipient) bool { return ids == nil || slices.Contains(ids, r.id) })
}

// Wake makes the recipients of a destination due now.
func (q *Queue) Wake(ctx context.Context, destination string) (int, error) {
	return q.hasten(ctx, func(r *recipient) bool { return r.destination == destination })
}

func (q *Queue) hasten(ctx context.Context, which func(*recipient) bool) (n int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.ready(ctx); err != nil {
		return 0, err
	}
	now := q.Now()
	q.expire(now)
	q.each(func(r *recipient) {
		if r.next.After(now) && which(r) {
			q.leave(r)
			r.next = now
			q.wait(r)
			n++
		}
	})
	if n > 0 {
		q.notify()
	}
	return n, nil
}

// Remove drops messages.
func (q *Queue) Remove(ctx context.Context, ids []queue.ID) (n int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.ready(ctx); err != nil {
		return 0, err
	}
	q.expire(q.Now())
	q.each(func(r *recipient) {
		if slices.Contains(ids, r.id) {
			q.leave(r)
			q.remove(r)
			n++
		}
	})
	if n > 0 {
		q.notify()
	}
	return n, nil
}

// each calls f for every recipient that nobody has claimed.
func (q *Queue) each(f func(*recipient)) {
	for _, h := range q.messages {
		for _, r := range slices.Clone(h.recipients) {
			if r.lease == nil {
				f(r)
			}
		}
	}
}
