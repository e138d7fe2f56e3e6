package server

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// supervised is a service that runs, or is about to run again.
type supervised struct {
	service Service
	log     *slog.Logger
	wait    time.Duration
	cancel  context.CancelFunc
	ready   chan struct{} // closed when the service first serves
	done    chan struct{} // closed when it has stopped for good
	err     error         // why it never became ready; valid after done
}

// start runs a service on a context of its own, so that services stop one
// after the other, not all at once.
func (s *Server) start(ctx context.Context, service Service) *supervised {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &supervised{
		service: service, log: s.logger().With("service", service.Name()), wait: s.RestartWait,
		cancel: cancel, ready: make(chan struct{}), done: make(chan struct{}),
	}
	if r.wait == 0 {
		r.wait = time.Second
	}
	go r.run(own)
	return r
}

func (r *supervised) run(ctx context.Context) {
	defer close(r.done)
	wasReady := false
	for wait := r.wait; ; wait = min(2*wait, time.Minute) {
		err := r.service.Run(ctx, func() {
			wait = r.wait
			if !wasReady {
				wasReady = true
				close(r.ready)
			}
		})
		switch {
		case ctx.Err() != nil:
			if err != nil {
				r.log.Warn("service stopped with an error", "err", err)
			}
			return
		case !wasReady:
			if err == nil {
				err = fmt.Errorf("ended before it served")
			}
			r.err = fmt.Errorf("%s: %w", r.service.Name(), err)
			return
		}
		r.log.Error("service failed, starting it again", "err", err, "in", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

func (r *supervised) waitReady(ctx context.Context) error {
	select {
	case <-r.ready:
		return nil
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *supervised) stop(timeout time.Duration) error {
	r.cancel()
	t := time.NewTimer(timeout)
	defer t.Stop()
	select {
	case <-r.done:
		return nil
	case <-t.C:
		return fmt.Errorf("%s: %w", r.service.Name(), ErrStopTimeout)
	}
}
