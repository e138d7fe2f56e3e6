// Package front is what the SMTP, IMAP and POP3 engines share before a user
// is logged in: the accept loop with its registry of sessions and its
// graceful stop, the SASL dialogue, and the counting of failed logins.
package front

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/posthouse-mail/posthouse/internal/wire"
)

// ErrStopped is what Serve returns after Shutdown or Close, wrapped by the
// engines as their own.
var ErrStopped = errors.New("server is stopped")

// Pool runs the sessions of a server. The zero value is ready.
type Pool struct {
	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	sessions  map[*wire.Conn]context.CancelFunc
	stopping  bool
	idle      chan struct{} // closed when the last session ends while stopping
}

// Handler serves one connection until it ends, or until it has handed it over
// (wire.Conn.HandOver). The context is cancelled when the pool is closed or
// the session has ended.
type Handler func(ctx context.Context, c *wire.Conn)

// Serve accepts connections from l and runs handle for each in a goroutine of
// its own, until ctx ends, l fails for good, or the pool stops. It closes l.
func (p *Pool) Serve(ctx context.Context, l net.Listener, t wire.Timeouts, handle Handler) error {
	if !p.addListener(l) {
		l.Close()
		return ErrStopped
	}
	defer p.removeListener(l)
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var delay time.Duration
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			delay = 0
			go p.run(ctx, wire.New(nc, t), handle)
		case p.isStopping() || ctx.Err() != nil:
			return ErrStopped
		case errors.Is(err, net.ErrClosed):
			return err
		default: // out of descriptors, connection reset before accept: try again, slowly
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			slog.WarnContext(ctx, "accept failed", "listener", l.Addr(), "err", err)
			if sleep(ctx, delay) != nil {
				return ErrStopped
			}
		}
	}
}

func (p *Pool) run(ctx context.Context, c *wire.Conn, handle Handler) {
	ctx, cancel := context.WithCancel(ctx)
	if !p.add(c, cancel) {
		cancel()
		c.Close()
		c.Release()
		return
	}
	handedOver := false
	defer func() {
		if v := recover(); v != nil {
			slog.ErrorContext(ctx, "session panicked", "remote", c.Remote(), "panic", v, "stack", string(debug.Stack()))
			handedOver = false
		}
		if !handedOver {
			p.end(c)
		}
	}()
	handle(ctx, c)
	if next := c.HandedOver(); next != nil {
		handedOver = true
		next(func() { p.end(c) })
	}
}

// end closes and forgets a session, once.
func (p *Pool) end(c *wire.Conn) {
	if cancel := p.remove(c); cancel != nil {
		cancel()
		c.Close()
		c.Release()
	}
}

// Len returns how many sessions run.
func (p *Pool) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sessions)
}

// Shutdown stops accepting, asks every session to end as soon as it waits for
// a command, and waits until all have ended or ctx ends; then it returns
// ctx's error, and Close can cut what is left.
func (p *Pool) Shutdown(ctx context.Context) error {
	for c := range p.stop() {
		c.Interrupt()
	}
	select {
	case <-p.idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close stops accepting and cuts every session. It does not wait.
func (p *Pool) Close() error {
	for c, cancel := range p.stop() {
		cancel()
		c.Close()
	}
	return nil
}

// stop marks the pool as stopping, closes its listeners and returns the
// sessions that still run.
func (p *Pool) stop() map[*wire.Conn]context.CancelFunc {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.stopping {
		p.stopping = true
		p.idle = make(chan struct{})
		if len(p.sessions) == 0 {
			close(p.idle)
		}
	}
	for l := range p.listeners {
		l.Close()
	}
	return maps.Clone(p.sessions)
}

func (p *Pool) isStopping() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stopping
}

func (p *Pool) addListener(l net.Listener) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping {
		return false
	}
	if p.listeners == nil {
		p.listeners = make(map[net.Listener]struct{})
	}
	p.listeners[l] = struct{}{}
	return true
}

func (p *Pool) removeListener(l net.Listener) {
	l.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.listeners, l)
}

func (p *Pool) add(c *wire.Conn, cancel context.CancelFunc) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping {
		return false
	}
	if p.sessions == nil {
		p.sessions = make(map[*wire.Conn]context.CancelFunc)
	}
	p.sessions[c] = cancel
	return true
}

// remove forgets a session and returns how to cancel its context, nil when
// it was forgotten before.
func (p *Pool) remove(c *wire.Conn) context.CancelFunc {
	p.mu.Lock()
	defer p.mu.Unlock()
	cancel, ok := p.sessions[c]
	if !ok {
		return nil
	}
	delete(p.sessions, c)
	if p.stopping && len(p.sessions) == 0 {
		close(p.idle)
	}
	return cancel
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
