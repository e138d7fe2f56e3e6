package ldap

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// maxIdle is how long a connection waits for the next question before it is
// closed: less than firewalls and directories wait.
const maxIdle = time.Minute

// pool holds the connections to one server that are for one use.
type pool struct {
	s     *server
	to    use
	slots chan struct{} // has one for each connection that is busy

	mu    sync.Mutex
	shut  bool
	busy  map[*conn]struct{}
	idle  []*conn     // the one that was used last at the end
	timer *time.Timer // looks for those that were idle too long; nil when none is idle
}

func newPool(s *server, to use, size int) *pool {
	return &pool{s: s, to: to, slots: make(chan struct{}, size), busy: make(map[*conn]struct{})}
}

// enter waits until the pool has a connection to spare. Leave it afterwards.
// When it has none for too long, or the server goes down meanwhile, the next
// server is to be asked.
func (p *pool) enter(ctx context.Context) error {
	select {
	case p.slots <- struct{}{}:
		return nil
	default:
	}
	c := p.s.c
	defer c.waiting.Add(-1)
	if c.waiting.Add(1) > int64(c.c.MaxConcurrency) {
		return unavailable("%d questions wait already", c.c.MaxConcurrency)
	}
	timer := time.NewTimer(c.c.Timeout)
	defer timer.Stop()
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-p.s.ended():
		return p.s.state()
	case <-ctx.Done():
		return &failure{p.s.at.uri, "wait for a connection", ctx.Err(), false}
	case <-timer.C:
		return &failure{p.s.at.uri, "wait for a connection", fmt.Errorf("all %d are busy", cap(p.slots)), true}
	}
}

func (p *pool) leave() { <-p.slots }

// take returns a connection that waits, or nil.
func (p *pool) take(epoch int) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		c := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if c.epoch == epoch && !c.IsClosing() {
			c.reused = true
			p.busy[c] = struct{}{}
			return c
		}
		p.s.c.inBackground(c.close)
	}
	return nil
}

// add takes a new connection in, busy at first. It reports whether the pool
// still takes any.
func (p *pool) add(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.shut {
		p.busy[c] = struct{}{}
	}
	return !p.shut
}

// give returns a connection after a question.
func (p *pool) give(c *conn) {
	c.used = time.Now()
	current := p.s.current()
	p.mu.Lock()
	delete(p.busy, c)
	if keep := !c.broken && !p.shut && c.epoch == current && !c.IsClosing(); !keep {
		p.mu.Unlock()
		c.close()
		return
	}
	p.idle = append(p.idle, c)
	if p.timer == nil {
		p.timer = time.AfterFunc(maxIdle, p.sweep)
	}
	p.mu.Unlock()
}

// sweep closes connections that were idle too long.
func (p *pool) sweep() {
	p.mu.Lock()
	old := time.Now().Add(-maxIdle)
	n, found := slices.BinarySearchFunc(p.idle, old, func(c *conn, t time.Time) int { return c.used.Compare(t) })
	if found {
		n++
	}
	expired := slices.Clone(p.idle[:n])
	p.idle = slices.Delete(p.idle, 0, n)
	p.timer = nil
	if len(p.idle) > 0 && !p.shut {
		p.timer = time.AfterFunc(p.idle[0].used.Sub(old), p.sweep)
	}
	p.mu.Unlock()
	closeAll(expired)
}

// drop closes the idle connections; the server is down.
func (p *pool) drop() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	closeAll(idle)
}

// close closes all connections, also those that are busy, and takes no more.
func (p *pool) close() {
	p.mu.Lock()
	p.shut = true
	for c := range p.busy {
		c.wire.abort()
	}
	if p.timer != nil {
		p.timer.Stop()
	}
	p.mu.Unlock()
	p.drop()
}

func closeAll(conns []*conn) {
	for _, c := range conns {
		c.close()
	}
}
