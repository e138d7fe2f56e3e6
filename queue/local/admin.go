package local

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/queue"
)

// reserved is a recipient that is waiting, and nobody else's while it changes.
type reserved struct {
	entry
	recipient *recipient
	lease     *lease
}

// Retry makes recipients due now, a durable change for every page of them.
func (q *Queue) Retry(ctx context.Context, ids []queue.ID) (int, error) {
	if ids == nil {
		return q.sweep(ctx, []byte{messagePrefix}, []byte{messagePrefix + 1}, q.hasten)
	}
	return q.each(ctx, ids, q.hasten)
}

// Remove drops messages.
func (q *Queue) Remove(ctx context.Context, ids []queue.ID) (int, error) {
	return q.each(ctx, ids, q.drop)
}

// change changes reserved recipients durably and returns how many.
type change func(ctx context.Context, all []reserved) (int, error)

// each does a change to the recipients of messages.
func (q *Queue) each(ctx context.Context, ids []queue.ID, do change) (total int, err error) {
	for _, id := range ids {
		key := messageKey(engine.BlobID(id))
		n, err := q.sweep(ctx, key, append(slices.Clone(key), recipientKey(0, leftNumber)[9:]...), do)
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// sweep does a change to the recipients between two keys, page by page.
func (q *Queue) sweep(ctx context.Context, from, to []byte, do change) (total int, err error) {
	for from != nil {
		if err := q.ready(ctx); err != nil {
			return total, err
		}
		page, next, err := q.page(ctx, from, to, func(engine.BlobID, *envelope) {})
		if err != nil {
			return total, err
		}
		places := make(map[string][]name)
		for _, r := range page {
			places[r.recipient.destination] = append(places[r.recipient.destination], r.name)
		}
		n, err := q.alter(ctx, places, do)
		total += n
		if err != nil {
			return total, err
		}
		from = next
	}
	return total, nil
}

// Wake makes the waiting recipients of a destination due now.
func (q *Queue) Wake(ctx context.Context, destination string) (total int, err error) {
	from := mark{due: q.now() + 1}
	for {
		if err := q.ready(ctx); err != nil {
			return total, err
		}
		if !q.waits(destination, from) {
			return total, nil
		}
		var names []name
		err := q.engine.Scan(ctx, markKey(destination, from), destinationEnd(destination), func(k, _ []byte) error {
			_, e, ok := parseEntryKey(k)
			if !ok {
				return fmt.Errorf("%w: key %x", ErrDamaged, k)
			}
			if len(names) >= pageSize && e.mark() != from {
				return errStop
			}
			names = append(names, e.name())
			from = e.mark()
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			return total, err
		}
		from.id++ // the page ends with a whole group
		n, failed := q.alter(ctx, map[string][]name{destination: names}, q.hasten)
		total += n
		if failed != nil || err == nil {
			return total, failed
		}
	}
}

// waits reports whether something of a destination may wait at from or
// later, from memory alone.
func (q *Queue) waits(destination string, from mark) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	d := q.schedule.destinations[destination]
	if d == nil {
		return false
	}
	last := len(d.head) - 1
	return d.horizon != end || last >= 0 && !d.head[last].before(from)
}

// alter reserves those of the named recipients that nobody has claimed and
// does a change to them.
func (q *Queue) alter(ctx context.Context, places map[string][]name, do change) (int, error) {
	var leases []*lease
	q.update(func(s *schedule, now int64) {
		for destination, names := range places {
			if l := s.reserve(destination, names, now); l != nil {
				leases = append(leases, l)
			}
		}
	})
	// What they are is read after they are reserved: only now nobody changes it.
	var all []reserved
	n, err := 0, error(nil)
	for _, l := range leases {
		entries := l.entries[:0:0]
		for _, e := range l.entries {
			r, failed := q.recipient(e.name())
			if failed == nil && r.destination == l.d.name {
				e.due = r.due
				entries = append(entries, e)
				all = append(all, reserved{e, r, l})
			} else if failed != nil && !errors.Is(failed, queue.ErrNotQueued) {
				err = errors.Join(err, failed)
			}
		}
		q.update(func(s *schedule, _ int64) { s.refine(l, entries) })
	}
	if len(all) > 0 {
		var failed error
		n, failed = do(ctx, all)
		err = errors.Join(err, failed)
	}
	q.update(func(s *schedule, now int64) {
		for _, l := range leases {
			if s.leases[l.id] == l {
				s.restore(l, now)
			}
		}
	})
	return n, err
}

// hasten makes recipients due now. Those that are due stay as they are.
func (q *Queue) hasten(ctx context.Context, all []reserved) (int, error) {
	now := q.now()
	all = slices.DeleteFunc(all, func(r reserved) bool { return r.due <= now })
	if len(all) == 0 {
		return 0, nil
	}
	records := make([][]byte, len(all))
	for i, r := range all {
		r.recipient.due = now
		var err error
		if records[i], err = r.recipient.encode(); err != nil {
			return 0, err
		}
	}
	err := q.commit(ctx, &engine.Change{
		Build: func(tx *engine.Tx) error {
			for i, r := range all {
				tx.Delete(entryKey(r.lease.d.name, r.entry))
				tx.Set(entryKey(r.lease.d.name, entry{now, r.id, r.number}), nil)
				tx.Set(r.recipient.key(r.name()), records[i])
			}
			return nil
		},
		Done: func() {
			q.update(func(s *schedule, _ int64) {
				for _, r := range all {
					s.move(r.lease, r.entry, now)
				}
			})
		},
	})
	if err != nil {
		return 0, fmt.Errorf("change the queue: %w", err)
	}
	return len(all), nil
}

// drop removes recipients for good.
func (q *Queue) drop(ctx context.Context, all []reserved) (int, error) {
	totals := make(map[engine.BlobID]uint32)
	for _, r := range all {
		if totals[r.id] == 0 {
			v, _, err := q.message(r.id)
			if err != nil {
				return 0, err
			}
			totals[r.id] = v.total
		}
	}
	err := q.commit(ctx, &engine.Change{
		Build: func(tx *engine.Tx) error {
			done := make(map[engine.BlobID][]name)
			for _, r := range all {
				tx.Delete(entryKey(r.lease.d.name, r.entry))
				done[r.id] = append(done[r.id], r.name())
			}
			for id, names := range done {
				if err := finish(tx, totals[id], names); err != nil {
					return err
				}
			}
			return nil
		},
		Done: func() {
			q.update(func(s *schedule, _ int64) {
				for _, r := range all {
					s.move(r.lease, r.entry, -1)
				}
			})
		},
	})
	if err != nil {
		return 0, fmt.Errorf("change the queue: %w", err)
	}
	return len(all), nil
}
