package engine

import (
	"context"
	"sync/atomic"
)

// janitor flushes the index, makes checkpoints and removes dead segments in the
// background.
type janitor struct {
	signal chan struct{}   // has room for one
	ctx    context.Context // ends when the janitor should
	quit   context.CancelFunc
	done   chan struct{}
	wanted atomic.Bool   // a flush is
	failed chan struct{} // has room for one: a flush failed
}

func newJanitor() *janitor {
	ctx, quit := context.WithCancel(context.Background())
	return &janitor{
		signal: make(chan struct{}, 1), ctx: ctx, quit: quit,
		done: make(chan struct{}), failed: make(chan struct{}, 1),
	}
}

// wake makes the janitor look for dead segments.
func (j *janitor) wake() {
	select {
	case j.signal <- struct{}{}:
	default:
	}
}

// flush makes the janitor flush the index.
func (j *janitor) flush() {
	j.wanted.Store(true)
	j.wake()
}

// flushFailed says that a flush failed, so that nobody waits for its end.
func (j *janitor) flushFailed() {
	select {
	case j.failed <- struct{}{}:
	default:
	}
}

// tidy is the janitor's work.
func (e *Engine) tidy() {
	defer close(e.janitor.done)
	for {
		select {
		case <-e.janitor.ctx.Done():
			return
		case <-e.janitor.signal:
		}
		if e.janitor.wanted.Swap(false) {
			if _, err := e.db.AsyncFlush(); err != nil {
				e.log.Error("mail index could not be flushed", "error", err)
			}
		}
		if err := e.reclaim(e.janitor.ctx); err != nil {
			e.log.Error("dead mail segments could not be removed", "error", err)
		}
	}
}

// stop ends the janitor.
func (j *janitor) stop() {
	j.quit()
	<-j.done
}
