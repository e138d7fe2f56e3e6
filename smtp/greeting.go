package smtp

import (
	"context"
	"errors"
	"os"

	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/mail"
)

// greet asks who may connect and says the greeting (RFC 5321 §4.3.1). Whoever
// may not gets the reason in its place and the connection closes.
func (c *conversation) greet(ctx context.Context) {
	r := c.askConnect(ctx)
	if r == nil && c.GreetDelay > 0 && !c.told.Trusted() {
		r = c.listenEarly(ctx)
	}
	switch {
	case c.closing:
	case r != nil:
		c.answer(ctx, command{}, c.lastWord(r))
	default:
		c.sayLine("220 " + c.hostname + " " + c.greeting)
	}
}

// askConnect asks who may connect.
func (c *conversation) askConnect(ctx context.Context) *mail.Reply {
	return c.ask(func(h *Hooks) error {
		if h.Connect == nil {
			return nil
		}
		return h.Connect(ctx, &c.facts)
	})
}

// listenEarly waits for GreetDelay: who sends something before the greeting
// is no mail server.
func (c *conversation) listenEarly(ctx context.Context) *mail.Reply {
	c.wire.SetIdleTimeout(c.GreetDelay)
	_, err := c.wire.ReadLine(0) // no line fits: it reports the first octet and reads none
	c.wire.SetIdleTimeout(c.Timeouts.wire().Idle)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil
	case errors.Is(err, wire.ErrLineTooLong):
		return errEarly
	}
	c.readFailed(ctx, err)
	return nil
}
