package smtp

import (
	"context"
	"errors"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
)

// finish ends the transaction: its content is complete. It returns the answer,
// nil when it was said already.
func (c *conversation) finish(ctx context.Context, in *intake) *mail.Reply {
	defer c.reset()
	recipients := len(in.message.Envelope.Recipients)
	err := c.deliver(ctx, in)
	if c.Protocol == LMTP {
		c.answerEach(ctx, in, recipients, err)
		return nil
	}
	r := c.outcome(in.message, err)
	if r.Code < 400 {
		c.accepted(ctx, in)
	}
	return r
}

// deliver has the hooks judge a message and the Handler take it over.
func (c *conversation) deliver(ctx context.Context, in *intake) error {
	if r := in.end(); r != nil {
		return r
	}
	m := in.message
	m.Body = in.spool
	var err error
	if m.Index, err = message.Parse(m.Body, message.Limits{}); err != nil {
		return err
	}
	if r := c.ask(func(h *Hooks) error {
		if h.Data == nil {
			return nil
		}
		return h.Data(ctx, m)
	}); r != nil {
		return r
	}
	return c.Handler.Handle(ctx, m)
}

// outcome is the answer to what became of a message.
func (c *conversation) outcome(m *Message, err error) *mail.Reply {
	if r := refusal(err); r != nil {
		return r
	}
	if r, ok := errors.AsType[*mail.Reply](err); ok && r != nil {
		return r // a text of success
	}
	return mail.Errorf(250, replyOK.Enhanced, "Accepted as %s", m.ID)
}

// accepted counts and logs a message that somebody took over.
func (c *conversation) accepted(ctx context.Context, in *intake) {
	c.facts.Messages++
	c.facts.Octets += in.size
	c.errors, c.commands = 0, 0
	c.logAccepted(ctx, in.message, in.size)
}
