package memory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/posthouse-mail/posthouse/queue"
)

// destination holds the waiting recipients of one destination in the order in
// which they are due.
type destination struct {
	waiting []*recipient
	turn    uint64 // when it was served last
	claims  int    // that are held
}

// lease is a claim that is held.
type lease struct {
	id          uint64
	destination string
	recipients  []*recipient
	until       time.Time
}

func order(a, b *recipient) int {
	return cmp.Or(a.next.Compare(b.next), cmp.Compare(a.id, b.id), cmp.Compare(a.index, b.index))
}

// wait puts r in line.
func (q *Queue) wait(r *recipient) {
	r.lease = nil
	d := q.destinations[r.destination]
	if d == nil {
		d = new(destination)
		q.destinations[r.destination] = d
	}
	i, _ := slices.BinarySearchFunc(d.waiting, r, order)
	d.waiting = slices.Insert(d.waiting, i, r)
}

// leave takes r, which waits, out of its line.
func (q *Queue) leave(r *recipient) {
	d := q.destinations[r.destination]
	if i, ok := slices.BinarySearchFunc(d.waiting, r, order); ok {
		d.waiting = slices.Delete(d.waiting, i, i+1)
	}
	q.drop(r.destination)
}

// drop forgets a destination that holds nothing any more.
func (q *Queue) drop(name string) {
	if d := q.destinations[name]; d != nil && len(d.waiting) == 0 && d.claims == 0 {
		delete(q.destinations, name)
	}
}

// Limit bounds the claims of one destination.
func (q *Queue) Limit(perDestination int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.limit = max(perDestination, 0)
	q.notify()
}

// open reports whether d may have one more claim.
func (q *Queue) open(d *destination) bool { return q.limit == 0 || d.claims < q.limit }

// Claim leases what is due, a group of each destination in turn.
func (q *Queue) Claim(ctx context.Context, n int, lease time.Duration) ([]queue.Claim, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.ready(ctx); err != nil {
		return nil, err
	}
	now := q.Now()
	q.expire(now)
	var claims []queue.Claim
	for len(claims) < n {
		name, ok := q.turnOf(now)
		if !ok {
			break
		}
		claims = append(claims, q.take(name, now.Add(lease)))
	}
	return claims, nil
}

// turnOf picks the destination that has something due and waited longest for its turn.
func (q *Queue) turnOf(now time.Time) (name string, ok bool) {
	var best *destination
	for n, d := range q.destinations {
		if len(d.waiting) == 0 || d.waiting[0].next.After(now) || !q.open(d) {
			continue
		}
		if best == nil || cmp.Or(cmp.Compare(d.turn, best.turn), cmp.Compare(n, name)) < 0 {
			best, name = d, n
		}
	}
	return name, best != nil
}

// take leases the first group of a destination.
func (q *Queue) take(name string, until time.Time) queue.Claim {
	d := q.destinations[name]
	first := d.waiting[0]
	k := 1
	for k < len(d.waiting) && d.waiting[k].held == first.held && d.waiting[k].next.Equal(first.next) {
		k++
	}
	q.lastLease++
	q.turns++
	l := &lease{id: q.lastLease, destination: name, recipients: slices.Clone(d.waiting[:k]), until: until}
	d.waiting = slices.Delete(d.waiting, 0, k)
	d.claims++
	d.turn = q.turns
	q.leases[l.id] = l

	c := queue.Claim{
		ID: first.id, Lease: l.id, Destination: name, From: first.envelope.From, Envelope: first.envelope,
		Received: first.received, Session: first.session, Until: until, Body: first.body,
	}
	for _, r := range l.recipients {
		r.lease = l
		c.Envelope.Recipients = append(c.Envelope.Recipients, r.to)
		c.States = append(c.States, r.state)
	}
	return c
}

// expire ends the leases whose time has come.
func (q *Queue) expire(now time.Time) {
	for _, l := range q.leases {
		if !l.until.After(now) {
			q.end(l)
			for _, r := range l.recipients {
				q.wait(r)
			}
		}
	}
}

// end takes a lease away; its recipients go where the caller says.
func (q *Queue) end(l *lease) {
	delete(q.leases, l.id)
	q.destinations[l.destination].claims--
	q.notify()
}

// Settle ends a claim.
func (q *Queue) Settle(ctx context.Context, c queue.Claim, outcomes []queue.Outcome) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.ready(ctx); err != nil {
		return err
	}
	l := q.leases[c.Lease]
	if l == nil {
		return queue.ErrLeaseLost
	}
	if len(outcomes) != len(l.recipients) {
		return fmt.Errorf("%d outcomes for %d recipients", len(outcomes), len(l.recipients))
	}
	q.end(l)
	for i, r := range l.recipients {
		o := outcomes[i]
		if o.Done {
			q.remove(r)
			continue
		}
		r.state.Attempts++
		r.state.Last = o.Reply
		r.state.Delayed = r.state.Delayed || o.Delayed
		r.next = o.Retry
		if r.next.IsZero() {
			r.next = q.Now()
		}
		q.wait(r)
	}
	q.drop(l.destination)
	return nil
}

// remove forgets a recipient, and its message with the last.
func (q *Queue) remove(r *recipient) {
	h := r.held
	h.recipients = slices.DeleteFunc(h.recipients, func(o *recipient) bool { return o == r })
	if len(h.recipients) == 0 {
		delete(q.messages, h.id)
	}
}

// Release gives a claim back.
func (q *Queue) Release(ctx context.Context, c queue.Claim) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.ready(ctx); err != nil {
		return err
	}
	l := q.leases[c.Lease]
	if l == nil {
		return queue.ErrLeaseLost
	}
	q.end(l)
	for _, r := range l.recipients {
		q.wait(r)
	}
	return nil
}

// Next returns when there will be something to claim.
func (q *Queue) Next() (due time.Time, changed <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	sooner := func(t time.Time) {
		if due.IsZero() || t.Before(due) {
			due = t
		}
	}
	for _, d := range q.destinations {
		if len(d.waiting) > 0 && q.open(d) {
			sooner(d.waiting[0].next)
		}
	}
	for _, l := range q.leases {
		sooner(l.until)
	}
	return due, q.changed
}
