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
	phase     phase
	idle      chan struct{} // closed when nothing is accepted and no session is left, while stopping
}

// phase is how far a pool has gone.
type phase int

const (
	serving  phase = iota
	draining       // nobody is listened for; who has come already is served
	cut            // nobody is served
)

// Handler serves one connection until it ends, or until it has handed it over
// (wire.Conn.HandOver) or lets it rest (wire.Conn.Rest). The context is cancelled when the pool is closed or
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
			p.begin(ctx, wire.New(nc, t), handle)
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

// begin adds a session before Accept is called again: while the pool drains,
// the last that was accepted counts before it is known that no more come.
func (p *Pool) begin(ctx context.Context, c *wire.Conn, handle Handler) {
	ctx, cancel := context.WithCancel(ctx)
	if p.add(c, cancel) {
		go p.run(ctx, c, handle)
		return
	}
	cancel()
	c.Close()
	c.Release()
}

func (p *Pool) run(ctx context.Context, c *wire.Conn, handle Handler) {
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
	if goOn := c.Resting(); goOn != nil {
		handedOver = true
		go p.rest(ctx, c, goOn)
	} else if next := c.HandedOver(); next != nil {
		handedOver = true
		next(func() { p.end(c) })
	}
}

// rest waits for a session's next input. Its stack is all that a session has
// meanwhile.
func (p *Pool) rest(ctx context.Context, c *wire.Conn, goOn func(context.Context, error)) {
	err := c.Doze()
	go p.run(ctx, c, func(ctx context.Context, c *wire.Conn) {
		if err == nil {
			err = c.Await()
		}
		goOn(ctx, err)
	})
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
// ctx's error, and Close can cut what is left. Clients whose connections have
// been accepted are greeted before they are asked to go.
//
// A hundred sessions are asked at once, and then a hundred a second, so that
// not all clients come back at the same moment; more if need be, so that all
// have been asked after half of the time that ctx leaves.
func (p *Pool) Shutdown(ctx context.Context) error {
	listeners, sessions := p.stop(draining)
	for l := range listeners {
		if s, ok := l.(interface{ Stop() }); ok {
			s.Stop() // those whom it has accepted are served
		} else {
			l.Close()
		}
	}
	if err := interrupt(ctx, sessions, p.idle); err != nil {
		return err
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
	listeners, sessions := p.stop(cut)
	for l := range listeners {
		l.Close()
	}
	for c, cancel := range sessions {
		cancel()
		c.Close()
	}
	return nil
}

// stop goes on to a phase, and returns the listeners and sessions that are
// still there.
func (p *Pool) stop(to phase) (map[net.Listener]struct{}, map[*wire.Conn]context.CancelFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase == serving {
		p.idle = make(chan struct{})
	}
	p.phase = max(p.phase, to)
	p.noteIdle()
	return maps.Clone(p.listeners), maps.Clone(p.sessions)
}

// noteIdle closes idle when there is a reason to. p is locked.
func (p *Pool) noteIdle() {
	if p.phase == serving || len(p.sessions) > 0 || len(p.listeners) > 0 {
		return
	}
	select {
	case <-p.idle:
	default:
		close(p.idle)
	}
}

func (p *Pool) isStopping() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.phase != serving
}

func (p *Pool) addListener(l net.Listener) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase != serving {
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
	p.noteIdle()
}

func (p *Pool) add(c *wire.Conn, cancel context.CancelFunc) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch p.phase {
	case draining:
		c.Interrupt()
	case cut:
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
	p.noteIdle()
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
