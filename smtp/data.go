package smtp

import (
	"context"
	"time"

	smtp "github.com/emersion/go-smtp"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
)

var replyGo = reply(354, 0, 0, 0, "Go ahead, end with CRLF.CRLF")

// data answers DATA (RFC 5321 §4.1.1.4).
func (c *conversation) data(ctx context.Context, arg string) *mail.Reply {
	switch {
	case arg != "":
		return errNoArgument
	case c.tx == nil:
		return errMailFirst
	case c.tx.chunked != nil:
		return errInBdat
	case len(c.tx.envelope.Recipients) == 0:
		return c.noRecipients()
	case c.tx.envelope.Options.Body == smtp.BodyBinaryMIME:
		return errBinaryData
	}
	in := c.newIntake(ctx)
	defer in.close()
	c.say(replyGo)
	if err := c.receive(in); err != nil {
		c.readFailed(ctx, err) // and nothing of what may still come is read
		return nil
	}
	return c.finish(ctx, in)
}

// noRecipients tells a client that none of its recipients was accepted from
// one that named none.
func (c *conversation) noRecipients() *mail.Reply {
	if c.Protocol == LMTP || c.tx.asked == 0 {
		return errRcptFirst // RFC 2033 §4.2 wants 503 in both cases
	}
	return errNoRcpt
}

// receive reads content up to its end.
func (c *conversation) receive(in *intake) error {
	c.beginTransfer()
	defer c.wire.EndTransfer()
	var s dotScanner
	take := in.write
	for {
		w, err := c.wire.Window()
		if err != nil {
			return err
		}
		n, done := s.scan(w, take)
		c.wire.Advance(n)
		if s.bare {
			in.refuse(errBareLine)
		}
		if done {
			return nil
		}
	}
}

func (c *conversation) beginTransfer() {
	if c.limits.MinRate > 0 {
		c.wire.BeginTransfer(c.limits.MinRate)
	}
}

// newIntake begins the content of the transaction's message.
func (c *conversation) newIntake(ctx context.Context) *intake {
	now := time.Now()
	m := &Message{
		ID:       c.tx.id,
		Session:  &c.facts,
		Envelope: c.tx.envelope,
		Received: now,
	}
	m.Trace = c.trace(m)
	in := &intake{
		limits:  &c.limits,
		message: m,
		spool:   message.NewSpool(c.SpoolDir, c.SpoolMemory),
		binary:  m.Envelope.Options.Body == smtp.BodyBinaryMIME,
	}
	if c.asksHeader {
		in.atHeader = func(m *Message) *mail.Reply { return c.askHeader(ctx, m) }
	}
	return in
}

// askHeader asks the Header hooks. The time they take is not held against
// the client.
func (c *conversation) askHeader(ctx context.Context, m *Message) *mail.Reply {
	r := c.ask(func(h *Hooks) error {
		if h.Header == nil {
			return nil
		}
		return h.Header(ctx, m)
	})
	c.beginTransfer()
	return r
}
