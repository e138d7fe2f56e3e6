// Package server runs named services: it starts them in order, restarts one
// that fails, reloads them, and stops them gracefully in reverse order.
//
// Invariants of this package:
//
//   - A service starts when all before it are ready, and stops before they do.
//   - A start that fails stops what was started and is the error of Run.
//   - Stopping is bounded by StopTimeout per service.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Service is a part of a server with a life of its own.
type Service interface {
	// Name names the service in logs and errors.
	Name() string
	// Run serves until ctx ends and then stops gracefully before it returns.
	// It calls ready once, when it serves. An error before that means that the
	// service can't start; a later one that it failed and may be run again.
	Run(ctx context.Context, ready func()) error
}

// Reloader is an optional power of a Service: Reload reads settings,
// certificates or maps again and keeps the old ones when the new are bad.
type Reloader interface {
	Reload(ctx context.Context) error
}

// Server runs services. Only Services is required.
type Server struct {
	Services    []Service     // in the order of their start
	StopTimeout time.Duration // how long each may take to stop; 0 means 30 seconds
	RestartWait time.Duration // before a failed service is run again, doubled up to a minute; 0 means one second
	Logger      *slog.Logger  // nil means slog.Default()
}

// ErrStopTimeout is the error of Run when a service did not stop in time.
var ErrStopTimeout = errors.New("service did not stop in time")

// Run starts the services and calls ready when all of them serve. It returns
// after ctx has ended and the services have stopped, or at once when one
// can't start.
func (s *Server) Run(ctx context.Context, ready func()) error {
	var running []*supervised
	var failed error
	for _, service := range s.Services {
		r := s.start(ctx, service)
		running = append(running, r)
		if failed = r.waitReady(ctx); failed != nil {
			break
		}
	}
	if failed == nil {
		if ready != nil {
			ready()
		}
		<-ctx.Done()
	}
	errs := []error{failed}
	for i := len(running) - 1; i >= 0; i-- {
		errs = append(errs, running[i].stop(s.stopTimeout()))
	}
	return errors.Join(errs...)
}

// Reload reloads every service that can, and returns all errors.
func (s *Server) Reload(ctx context.Context) error {
	var errs []error
	for _, service := range s.Services {
		if r, ok := service.(Reloader); ok {
			if err := r.Reload(ctx); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", service.Name(), err))
			}
		}
	}
	return errors.Join(errs...)
}

func (s *Server) stopTimeout() time.Duration {
	if s.StopTimeout == 0 {
		return 30 * time.Second
	}
	return s.StopTimeout
}

func (s *Server) logger() *slog.Logger {
	if s.Logger == nil {
		return slog.Default()
	}
	return s.Logger
}
