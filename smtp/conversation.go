package smtp

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/posthouse-mail/posthouse/internal/front"
	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/proxy"
)

// conversation is one session: its connection, its facts, its transaction.
type conversation struct {
	*policy
	wire  *wire.Conn
	facts Session
	told  *front.Told  // nil: the client connects itself
	helo  string       // of the client, as a front end has told it; empty: it has not
	tx    *transaction // nil outside of MAIL … end of message
	guard front.Guard

	visitor *proxy.Visitor // of a Proxy, until somebody is logged in; nil: there is none yet
	link    *proxy.Link    // of a Proxy: to the back end that the client is logged in to; nil: none
	gone    bool           // the session goes on without this goroutine: its end is not here

	errors   int  // refused commands since the last accepted message
	commands int  // commands that moved no mail since then
	closing  bool // no further command is read
	abrupt   bool // the last word came unasked: the client may still be sending
	broken   bool // the connection is of no use any more: nothing to flush
}

func newConversation(p *policy, w *wire.Conn) *conversation {
	c := &conversation{
		policy: p,
		wire:   w,
		told:   front.NewTold(w, p.Fronts),
		guard:  front.Guard{Max: p.limits.AuthFailures, Delay: p.limits.Delay},
	}
	c.facts = c.newFacts()
	return c
}

// newFacts returns what is known of the client when a session begins.
func (c *conversation) newFacts() Session {
	f := Session{ID: c.told.ID(), Protocol: c.Protocol, Hops: c.told.HopsLeft()}
	f.Remote, f.Local = c.told.Ends(c.wire)
	if c.told != nil {
		f.Front = c.told.Front
	}
	return f
}

// run serves the connection until it ends. Between commands its stack is as
// shallow as it can be: that is what an idle session costs.
func (c *conversation) run(ctx context.Context) {
	if err := c.wire.Handshake(ctx); err != nil {
		c.logEnd(ctx, "TLS handshake failed", err)
		return
	}
	c.facts.TLS = c.wire.TLS()
	defer c.end()
	c.greet(ctx)
	for !c.closing {
		line, err := c.wire.ReadLine(max(c.limits.CommandLine, maxAuthLine))
		if err != nil {
			c.readFailed(ctx, err)
			break
		}
		c.serve(ctx, line)
	}
	switch {
	case c.broken:
	case c.link != nil:
		c.handOver(ctx)
	case c.abrupt:
		c.wire.Linger(lingerTime, lingerLimit) // lets the last reply arrive
	default:
		_ = c.wire.Flush()
	}
}

const (
	lingerTime  = time.Second
	lingerLimit = 256 << 10
)

// end releases what the session holds and tells the hooks, of one that is
// handed over not yet.
func (c *conversation) end() {
	c.reset()
	c.dropLink()
	if !c.gone {
		c.leave()
	}
}

// leave tells the hooks that the session is over.
func (c *conversation) leave() {
	for i := range c.Hooks {
		if h := c.Hooks[i].Close; h != nil {
			h(&c.facts)
		}
	}
}

// serve answers one command line.
func (c *conversation) serve(ctx context.Context, line []byte) {
	cmd, r := c.parse(line)
	if r == nil {
		r = c.dispatch(ctx, cmd)
	}
	if r != nil {
		c.answer(ctx, cmd, r)
	}
}

// answer says r to the client and counts it.
func (c *conversation) answer(ctx context.Context, cmd command, r *mail.Reply) {
	if r.Code >= 400 {
		c.refused(ctx, cmd, r)
	}
	c.say(r)
	switch {
	case r.Code == 221:
		c.closing = true
	case r.Code == 421 || r.Code == 521:
		c.closing, c.abrupt = true, true
	case !c.closing && c.errors >= c.limits.Errors:
		c.say(errTooManyErrors)
		c.closing, c.abrupt = true, true
	}
}

// refused counts and logs a refusal, and slows down who gets many of them.
func (c *conversation) refused(ctx context.Context, cmd command, r *mail.Reply) {
	c.facts.Errors++
	if r == errOvershoot && c.tx.refused > 1 {
		return // its own limit ends it, and one line in the log will do
	}
	c.logRefused(ctx, cmd, r)
	c.errors++
	if c.errors > c.limits.Errors/2 && c.limits.Delay > 0 {
		pause(ctx, c.limits.Delay)
	}
}

// lastWord makes r the end of the session: what the client still sends is
// dropped.
func (c *conversation) lastWord(r *mail.Reply) *mail.Reply {
	c.closing, c.abrupt = true, true
	return r
}

// readFailed ends the session after an error of reading.
func (c *conversation) readFailed(ctx context.Context, err error) {
	c.closing = true
	switch {
	case errors.Is(err, wire.ErrLineTooLong):
		c.answer(ctx, command{}, c.lastWord(errLineTooLong))
	case errors.Is(err, wire.ErrInterrupted):
		c.say(errStopping)
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.say(c.lastWord(errTimeout))
	case errors.Is(err, io.EOF):
	default:
		c.logEnd(ctx, "connection lost", err)
		c.broken = true
	}
}

// reset forgets the transaction.
func (c *conversation) reset() {
	if c.tx != nil {
		c.tx.close()
		c.tx = nil
	}
}

// idle counts a command that moves no mail.
func (c *conversation) idle() {
	c.commands++
	if c.commands > c.limits.Commands {
		c.errors++
		c.facts.Errors++
	}
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
