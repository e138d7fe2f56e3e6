package local

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/queue"
)

// hold takes a claim's lease to end it: it can't end by itself any more.
func (q *Queue) hold(c queue.Claim) (*lease, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.schedule.leases[c.Lease]
	if l == nil || l.claim == nil || l.place < 0 {
		return nil, queue.ErrLeaseLost
	}
	q.schedule.hold(l)
	return l, nil
}

// Settle ends a claim as one change.
func (q *Queue) Settle(ctx context.Context, c queue.Claim, outcomes []queue.Outcome) error {
	if err := q.ready(ctx); err != nil {
		return err
	}
	l, err := q.hold(c)
	if err != nil {
		return err
	}
	err = q.settle(ctx, l, outcomes)
	if err != nil {
		q.update(func(s *schedule, _ int64) { s.unhold(l) })
		return fmt.Errorf("settle: %w", err)
	}
	release([]*lease{l})
	return nil
}

// rewrite is a recipient that waits again, at another time.
type rewrite struct {
	entry       entry
	key, record []byte
}

func (q *Queue) settle(ctx context.Context, l *lease, outcomes []queue.Outcome) error {
	if len(outcomes) != len(l.entries) {
		return fmt.Errorf("%d outcomes for %d recipients", len(outcomes), len(l.entries))
	}
	var again []rewrite
	var waiting []entry
	for i, o := range outcomes {
		if o.Done {
			continue
		}
		r := *l.claim.recipients[i]
		r.state.Attempts++
		r.state.Last = o.Reply
		r.state.Delayed = r.state.Delayed || o.Delayed
		r.due = q.now()
		if !o.Retry.IsZero() {
			r.due = stamp(o.Retry)
		}
		b, err := r.encode()
		if err != nil {
			return err
		}
		e := entry{due: r.due, id: l.entries[i].id, number: l.entries[i].number}
		again = append(again, rewrite{e, r.key(e.name()), b})
		waiting = append(waiting, e)
	}
	return q.commit(ctx, &engine.Change{
		Build: func(tx *engine.Tx) error {
			done := make([]name, 0, len(outcomes)-len(again))
			for i, e := range l.entries {
				tx.Delete(entryKey(l.d.name, e))
				if outcomes[i].Done {
					done = append(done, e.name())
				}
			}
			for _, w := range again {
				tx.Set(entryKey(l.d.name, w.entry), nil)
				tx.Set(w.key, w.record)
			}
			return finish(tx, l.claim.total, done)
		},
		Done: func() { q.update(func(s *schedule, now int64) { s.end(l, waiting, now) }) },
	})
}

// finish removes recipients of one message, and the message with its content
// when they are the last. total is how many it had when it was put.
func finish(tx *engine.Tx, total uint32, done []name) error {
	if len(done) == 0 {
		return nil
	}
	id := done[0].id
	if total > 1 {
		for _, n := range done {
			tx.Delete(recipientKey(n.id, n.number))
		}
		key := recipientKey(id, leftNumber)
		b, ok, err := tx.Get(key)
		if err != nil {
			return err
		}
		left, good := decodeLeft(b)
		if !ok || !good || left < len(done) {
			return fmt.Errorf("message %d: %w: recipients left", id, ErrDamaged)
		}
		if left -= len(done); left > 0 {
			tx.Set(key, encodeLeft(left))
			return nil
		}
		tx.Delete(key)
	}
	tx.Delete(messageKey(id))
	tx.Ref(id, -1)
	return nil
}

func encodeLeft(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

func decodeLeft(b []byte) (n int, ok bool) {
	if len(b) != 4 {
		return 0, false
	}
	return int(binary.BigEndian.Uint32(b)), true
}

// Release gives a claim back. Nothing is written.
func (q *Queue) Release(ctx context.Context, c queue.Claim) error {
	if err := q.ready(ctx); err != nil {
		return err
	}
	l, err := q.hold(c)
	if err != nil {
		return err
	}
	q.update(func(s *schedule, now int64) { s.restore(l, now) })
	release([]*lease{l})
	return nil
}
