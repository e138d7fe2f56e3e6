// Package splice moves octets between two connections, both ways, until they
// end: what a proxy does after a login.
//
// Invariants of this package:
//
//   - While nothing arrives, a pair holds no buffer, no pipe and no timer: each
//     direction waits until the descriptor is readable, and takes what it needs
//     then. After a second it waits in no goroutine on Linux, elsewhere always in
//     one of the smallest stack. (A connection that gives no access to its
//     descriptor keeps a goroutine and a buffer.)
//   - The stack of who moves octets, TLS needs a deep one, does not outlive the
//     burst by more than that.
//   - A direction holds one buffer or one pipe at most, whatever is moved: a slow
//     reader slows the writer, and nobody else.
//   - Every octet that one side sent before it ended in order is written to the
//     other, unless that has gone, or accepts nothing for too long.
package splice

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/posthouse-mail/posthouse/internal/wire"
)

// Errors that end a pair, besides those of the network and of the context.
// wire.ErrInterrupted ends one that was idle when the server was to stop.
var (
	ErrIdle  = errors.New("nothing was said for too long")
	ErrStuck = errors.New("what was sent was not accepted for too long")
)

// Party says who has ended a pair.
type Party int32

// The parties. Nobody is a time-out, or whoever has ended the context.
const (
	Nobody Party = iota
	Client
	Server
)

// String names a party.
func (p Party) String() string { return [...]string{"nobody", "client", "back end"}[p] }

// Timeouts of a pair. A zero field means its default.
type Timeouts struct {
	Stuck time.Duration // one side accepts nothing of what the other sent; default 400 seconds
	Idle  time.Duration // nothing moves in either direction; default 31 minutes
}

const (
	// afterEnd is how long nothing may move once the server has said all: no
	// client waits for anything then.
	afterEnd = 30 * time.Second
	// drained is how long nothing may have moved, with the server's word as the
	// last, for a pair to count as idle when the client's side is interrupted.
	drained = 2 * time.Second
)

// phase is what has ended so far.
type phase int32

const (
	bothSpeak phase = iota
	clientEnded
	serverEnded
)

// pair is two connections and what moves between them.
type pair struct {
	client, server side
	up, down       direction // client to server, server to client
	t              Timeouts
	done           func(Party, error)
	stop           func() bool // takes the pair off its context
	start          time.Time
	id             uint64 // see watch
	poller         *poller

	running  atomic.Int32 // directions
	bursts   atomic.Int32 // directions that hold octets at this moment
	moved    atomic.Int64 // when something moved last, since start
	answered atomic.Bool  // it was the server's
	phase    atomic.Int32
	first    atomic.Int32 // the Party that has ended, or broken off, before the other
	closed   atomic.Bool  // both connections were closed here

	mu     sync.Mutex // guards what follows, and closing
	err    error      // why it ends
	broken bool       // a side broke off: the other is to see that
}

// side is one connection of a pair.
type side struct {
	wire.Parts
	conn *wire.Conn
}

func newSide(c *wire.Conn) (side, error) {
	parts, err := c.Detach()
	return side{parts, c}, err
}

// Start moves octets between a client and a server, beginning with what both
// have read ahead, until both have ended, one breaks off, a time-out passes or
// ctx ends. It returns at once; done is then called once, after both
// connections were closed, with the party that was the first to end, and nil
// when the end was in order. After an error nothing was started: close both.
//
// The end of one side's octets is passed on; the other may finish what it
// says. A connection that was reset resets the other.
//
// When the client's Conn is interrupted (its server stops), a pair goes on while
// octets move or an answer is due, and is closed when nothing has moved for two
// seconds and the server spoke last. No farewell is said: whether the
// last octet ended a message or is in the middle of a mail, nobody knows who
// does not speak the protocol.
func Start(ctx context.Context, client, server *wire.Conn, t Timeouts, done func(Party, error)) error {
	p := &pair{t: t, start: time.Now()}
	p.done = func(first Party, err error) {
		if ctx.Err() != nil && errors.Is(err, net.ErrClosed) {
			err = context.Cause(ctx) // whoever ended it closed the connection too
		}
		done(first, err)
	}
	p.t.Stuck = cmp.Or(t.Stuck, 400*time.Second)
	p.t.Idle = cmp.Or(t.Idle, 31*time.Minute)
	var err error
	if p.server, err = newSide(server); err != nil {
		return err
	}
	if p.client, err = newSide(client); err != nil {
		return err
	}
	p.up.init(p, &p.client, &p.server)
	p.down.init(p, &p.server, &p.client)
	p.answered.Store(true)
	p.running.Store(2)
	if err := watched.add(p); err != nil {
		return err
	}
	p.stop = context.AfterFunc(ctx, func() { p.abort(context.Cause(ctx)) })
	go p.up.run()
	go p.down.run()
	return nil
}

// abort ends the pair at once. The first reason counts.
func (p *pair) abort(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed.Load() {
		return
	}
	p.closed.Store(true)
	if p.err == nil {
		p.err = err
	}
	p.broken = p.broken || isBroken(err)
	if p.broken {
		p.server.conn.Reset()
		p.client.conn.Reset()
	} else {
		p.server.conn.Close()
		p.client.conn.Close()
	}
	for _, d := range []*direction{&p.up, &p.down} {
		if d.claim() { // nobody will wake it
			go d.end(net.ErrClosed)
		}
	}
}

// breakOff notes that a side takes nothing any more; what it has sent may
// still be read.
func (p *pair) breakOff(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = p.broken || isBroken(err)
	if p.err == nil {
		p.err = err
	}
}

// leave is called by each direction when it has ended.
func (p *pair) leave() {
	if p.running.Add(-1) != 0 {
		return
	}
	p.stop()
	p.abort(nil)
	watched.remove(p)
	defer logPanic()
	p.done(Party(p.first.Load()), p.err)
}

// logPanic keeps a panic in one pair from ending all others.
func logPanic() {
	if v := recover(); v != nil {
		slog.Error("relay panicked", "panic", v, "stack", string(debug.Stack()))
	}
}

// quiet is how long nothing may move at present.
func (p *pair) quiet() time.Duration {
	switch phase(p.phase.Load()) {
	case clientEnded:
		return p.t.Stuck
	case serverEnded:
		return min(afterEnd, p.t.Stuck)
	}
	if p.client.conn.Interrupted() {
		return drained
	}
	return p.t.Idle
}

// overdue says why a pair must end now; nil when it need not.
func (p *pair) overdue() error {
	if p.closed.Load() {
		return nil // it ends already
	}
	for _, d := range []*direction{&p.up, &p.down} {
		if d.parked.Load() && d.src.Raw.Control(func(uintptr) {}) != nil {
			return net.ErrClosed // by somebody else, of which no poller tells
		}
	}
	quiet := p.quiet()
	since := time.Since(p.start) - time.Duration(p.moved.Load())
	if p.bursts.Load() > 0 || since < quiet {
		return nil
	}
	if phase(p.phase.Load()) == bothSpeak && p.client.conn.Interrupted() {
		if !p.answered.Load() && since < p.t.Idle {
			return nil // an answer is due
		}
		return wire.ErrInterrupted
	}
	return ErrIdle
}
