package processing

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/posthouse-mail/posthouse/queue"
)

// Run works the queue off until ctx ends: it claims what is due, at most
// Concurrency groups at a time, and waits for nothing but the queue. When ctx
// ends, running attempts get Drain to finish; then they are interrupted and
// what they hold is given back. Run returns nil. Several may run on one queue.
func (p *Processor) Run(ctx context.Context) error {
	if l, ok := queue.As[queue.Limiter](p.o.Queue); ok {
		l.Limit(p.o.PerDestination)
	}
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var running sync.WaitGroup
	slots := make(chan struct{}, p.o.Concurrency) // a token for each running attempt
	p.schedule(ctx, func(c queue.Claim) {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			p.attempt(work, c)
		})
	}, slots)
	drained := time.AfterFunc(p.o.Drain, stop)
	defer drained.Stop()
	running.Wait()
	return nil
}

// schedule claims and starts work until ctx ends.
func (p *Processor) schedule(ctx context.Context, start func(queue.Claim), slots chan struct{}) {
	var pause time.Duration
	for ctx.Err() == nil {
		select { // until there is a free slot
		case slots <- struct{}{}:
			<-slots
		case <-ctx.Done():
			return
		}
		due, changed := p.o.Queue.Next() // before Claim, so that no change is missed
		claims, err := p.o.Queue.Claim(ctx, cap(slots)-len(slots), p.o.Lease)
		if errors.Is(err, queue.ErrClosed) || ctx.Err() != nil {
			return
		}
		if err != nil {
			pause = min(max(2*pause, time.Second), time.Minute)
			p.o.Logger.ErrorContext(ctx, "the queue gives nothing", "err", err)
			wait(ctx, nil, pause)
			continue
		}
		pause = 0
		for _, c := range claims {
			start(c)
		}
		if len(claims) == 0 {
			wait(ctx, changed, until(due))
		}
	}
}

// until is how long to wait for a due time; a time that has come already is
// somebody else's to claim, so a moment passes before asking again.
func until(due time.Time) time.Duration {
	if due.IsZero() {
		return time.Hour
	}
	return max(time.Until(due), 20*time.Millisecond)
}

// wait returns when something changed, d has passed, or ctx ended.
func wait(ctx context.Context, changed <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-changed:
	case <-t.C:
	case <-ctx.Done():
	}
}

// settle ends a claim. A failure of the queue costs another attempt later, so
// it is tried a few times.
func (p *Processor) settle(ctx context.Context, c queue.Claim, outcomes []queue.Outcome) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	for pause := 50 * time.Millisecond; ; pause *= 4 {
		err := p.o.Queue.Settle(ctx, c, outcomes)
		if err == nil {
			return
		}
		p.o.Logger.ErrorContext(ctx, "outcome not kept", "id", c.ID, "destination", c.Destination, "err", err)
		if errors.Is(err, queue.ErrLeaseLost) || errors.Is(err, queue.ErrClosed) || pause > 5*time.Second {
			return
		}
		wait(ctx, nil, pause)
	}
}

// release gives a claim back unused.
func (p *Processor) release(ctx context.Context, c queue.Claim) {
	if r, ok := queue.As[queue.Releaser](p.o.Queue); ok {
		if err := r.Release(context.WithoutCancel(ctx), c); err != nil {
			p.o.Logger.WarnContext(ctx, "claim not given back", "id", c.ID, "err", err)
		}
	}
}
