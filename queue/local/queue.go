// Package local is the durable mail queue of one node. It shares the message
// log and the index of a storage/local store: a message for local mailboxes
// and for the queue is written once.
//
// Invariants of this package:
//
//   - Every change is one record of the log: durable when a method returns,
//     with one sync that it shares with all changes of that moment.
//   - Leases are in memory only. One that is lost in a crash costs one more
//     attempt, never a recipient.
//   - Memory holds some octets for each destination that has something
//     waiting and for each claim, never for each message.
//   - No claim walks over what was settled before: the cursor of a destination
//     (see destination) only goes back to what is known to be there.
//
// Keys are written down in key.go, records in record.go.
package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/queue"
	storagelocal "github.com/posthouse-mail/posthouse/storage/local"
)

// Options adjust a Queue. The zero value is right for most.
type Options struct {
	Now    func() time.Time // the clock; nil: time.Now
	Logger *slog.Logger     // for messages that can't be read; nil: none
}

// Queue is a durable queue. It has the powers queue.Lister,
// queue.Administrator, queue.Releaser and queue.Limiter.
type Queue struct {
	store  *storagelocal.Store // nil: there is none to deliver to
	engine *engine.Engine
	clock  func() time.Time
	log    *slog.Logger

	mu       sync.Mutex
	schedule *schedule
	closed   bool
	changed  chan struct{}
	asked    bool // somebody may wait on changed
}

var (
	_ queue.Queue         = (*Queue)(nil)
	_ queue.Lister        = (*Queue)(nil)
	_ queue.Administrator = (*Queue)(nil)
	_ queue.Releaser      = (*Queue)(nil)
	_ queue.Limiter       = (*Queue)(nil)
)

func open(e *engine.Engine, o Options) (*Queue, error) {
	q := &Queue{
		engine: e, clock: o.Now, log: o.Logger,
		schedule: newSchedule(), changed: make(chan struct{}),
	}
	if q.clock == nil {
		q.clock = time.Now
	}
	if q.log == nil {
		q.log = slog.New(slog.DiscardHandler)
	}
	if err := q.load(q.schedule); err != nil {
		return nil, fmt.Errorf("open the queue: %w", err)
	}
	return q, nil
}

// errStop ends a scan that has enough.
var errStop = errors.New("enough")

// load learns of every destination where its first recipient stands: one seek
// for each. Keys that mean nothing are for Check to report.
func (q *Queue) load(s *schedule) error {
	now := stamp(q.clock())
	from, to := []byte{destinationPrefix}, []byte{destinationPrefix + 1}
	for {
		var next []byte
		err := q.engine.Scan(context.Background(), from, to, func(k, _ []byte) error {
			n, e, ok := parseEntryKey(k)
			if !ok {
				q.log.Error("key of the queue means nothing", "key", k)
				next = append(append(next, k...), 0)
				return errStop
			}
			d := s.destination(string(n))
			d.horizon = e.mark()
			s.settlePlace(d, now)
			next = destinationEnd(d.name)
			return errStop
		})
		if err == nil {
			return nil
		}
		if !errors.Is(err, errStop) {
			return err
		}
		from = next
	}
}

// Close gives up all claims and refuses further work with queue.ErrClosed. It
// does not close the store. A second Close does nothing.
func (q *Queue) Close() error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return nil
	}
	q.closed = true
	held := make([]*lease, 0, len(q.schedule.leases))
	for _, l := range q.schedule.leases {
		held = append(held, l)
	}
	q.schedule = newSchedule()
	q.asked = true
	q.notify()
	q.mu.Unlock()
	release(held)
	return nil
}

// ready is what every method asks first.
func (q *Queue) ready(ctx context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return queue.ErrClosed
	}
	return ctx.Err()
}

// now is the time of the queue's clock as a stamp.
func (q *Queue) now() int64 { return stamp(q.clock()) }

// notify tells those who wait on Next's channel. The lock is held.
func (q *Queue) notify() {
	if q.asked {
		close(q.changed)
		q.changed = make(chan struct{})
		q.asked = false
	}
}

// update changes the schedule, if the queue is still open, and tells those who
// wait.
func (q *Queue) update(f func(s *schedule, now int64)) {
	now := q.now()
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		f(q.schedule, now)
		q.notify()
	}
}

// Next returns when there will be something to claim.
func (q *Queue) Next() (due time.Time, changed <-chan struct{}) {
	now := q.now()
	q.mu.Lock()
	ended := q.schedule.advance(now)
	next := q.schedule.next()
	changed, q.asked = q.changed, true
	q.mu.Unlock()
	release(ended)
	if next == 0 {
		return time.Time{}, changed
	}
	return moment(next), changed
}

// Limit bounds the claims of one destination.
func (q *Queue) Limit(perDestination int) {
	q.update(func(s *schedule, now int64) { s.setLimit(max(perDestination, 0), now) })
}

// commit writes a change. A full disk is a full queue, a closed log a closed
// one.
func (q *Queue) commit(ctx context.Context, c *engine.Change) error {
	err := q.engine.Commit(ctx, c)
	if errors.Is(err, engine.ErrNoSpace) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", queue.ErrFull, err)
	}
	if errors.Is(err, engine.ErrClosed) {
		return queue.ErrClosed
	}
	return err
}
