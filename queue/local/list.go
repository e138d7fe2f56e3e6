package local

import (
	"context"
	"errors"
	"fmt"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/queue"
)

// pageSize is how many recipients are read from the index or changed at once.
const pageSize = 256

// listed is a recipient as the index had it.
type listed struct {
	name
	recipient *recipient
}

// page reads up to pageSize recipients from the key from on, by message, and
// calls message for each message that it meets. What can't be read is logged
// and left out. It returns the key to go on from, nil when there is no more.
func (q *Queue) page(ctx context.Context, from, to []byte, message func(engine.BlobID, *envelope)) (all []listed, next []byte, err error) {
	err = q.engine.Scan(ctx, from, to, func(k, v []byte) error {
		n, whole, ok := parseMessageKey(k)
		switch {
		case !ok:
			return fmt.Errorf("%w: key %x", ErrDamaged, k)
		case len(all) == pageSize:
			next = append(next, k...)
			return errStop
		case n.number == leftNumber:
			return nil
		case whole:
			e, only, err := decodeMessage(v)
			if err != nil {
				q.log.Error("queued message can't be read", "id", n.id, "error", err)
				return nil
			}
			message(n.id, e)
			if only != nil {
				all = append(all, listed{n, only})
			}
			return nil
		}
		r, err := decodeRecipient(v)
		if err != nil {
			q.log.Error("queued recipient can't be read", "id", n.id, "recipient", n.number, "error", err)
			return nil
		}
		all = append(all, listed{n, r})
		return nil
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return all, next, err
}

// List yields every recipient, by message. What changes while it lists may
// be shown as it was or as it is; what can't be read is left out, see Check.
func (q *Queue) List(ctx context.Context, yield func(queue.Entry) bool) error {
	from, to := []byte{messagePrefix}, []byte{messagePrefix + 1}
	var current engine.BlobID
	envelopes := make(map[engine.BlobID]*envelope)
	for from != nil {
		if err := q.ready(ctx); err != nil {
			return err
		}
		recipients, next, err := q.page(ctx, from, to, func(id engine.BlobID, v *envelope) { envelopes[id] = v; current = id })
		if err != nil {
			return err
		}
		claimed := q.claimed(recipients)
		for i, r := range recipients {
			v := envelopes[r.id]
			if v == nil {
				continue // it can't be read, as was logged
			}
			e := queue.Entry{
				ID: queue.ID(r.id), From: v.from, To: r.recipient.to.To, Destination: r.recipient.destination,
				Size: int64(len(v.prefix)) + v.size, Received: moment(v.received), Next: moment(r.recipient.due),
				Attempts: r.recipient.state.Attempts, Claimed: claimed[i],
			}
			if last := r.recipient.state.Last; last != nil {
				e.LastReply = last.Error()
			}
			if !yield(e) {
				return nil
			}
		}
		last := envelopes[current]
		clear(envelopes)
		envelopes[current] = last
		from = next
	}
	return nil
}

// claimed tells of each recipient whether it is claimed.
func (q *Queue) claimed(recipients []listed) []bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	claimed := make([]bool, len(recipients))
	for i, r := range recipients {
		l := q.schedule.claimed[r.name]
		claimed[i] = l != nil && l.counts
	}
	return claimed
}

// Content returns the content of a queued message.
func (q *Queue) Content(ctx context.Context, id queue.ID) (message.OpenBody, error) {
	if err := q.ready(ctx); err != nil {
		return nil, err
	}
	v, _, err := q.message(engine.BlobID(id))
	if err != nil {
		return nil, err
	}
	b, err := q.engine.Open(engine.BlobID(id))
	if err != nil {
		return nil, err
	}
	return message.JoinOpen(v.prefix, b), nil
}

// References calls f for the content of every message that is queued at the
// moment of a snapshot, with how many references the queue holds to it, until f
// returns an error. It is for the check of the store.
func (q *Queue) References(at *engine.Snapshot, f func(b engine.BlobID, n int) error) error {
	from, to := []byte{messagePrefix}, []byte{messagePrefix + 1}
	return at.Scan(context.Background(), from, to, func(k, _ []byte) error {
		if n, whole, _ := parseMessageKey(k); whole {
			return f(n.id, 1)
		}
		return nil
	})
}
