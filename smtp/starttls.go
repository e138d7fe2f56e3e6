package smtp

import (
	"context"

	"github.com/posthouse-mail/posthouse/mail"
)

var (
	errPipelinedTLS = reply(503, 5, 5, 1, "Nothing may follow STARTTLS before the handshake")
	errToldInClear  = reply(503, 5, 5, 1, "STARTTLS comes before XCLIENT")
)

// startTLS answers STARTTLS (RFC 3207). A handshake that fails ends the
// connection: nothing goes on in clear text by accident.
func (c *conversation) startTLS(ctx context.Context, arg string) *mail.Reply {
	switch {
	case arg != "":
		return errNoArgument
	case c.TLS == nil:
		return errNotHere
	case c.facts.Secure():
		return errTwice
	case c.tx != nil:
		return errInTransaction
	case c.told.Said():
		return errToldInClear
	case c.wire.Buffered() > 0:
		return c.lastWord(errPipelinedTLS)
	}
	c.say(replyTLS)
	if err := c.wire.Flush(); err != nil {
		c.readFailed(ctx, err)
		return nil
	}
	if err := c.wire.StartTLS(ctx, c.TLS); err != nil {
		c.logEnd(ctx, "TLS handshake failed", err)
		c.closing, c.broken = true, true
		return nil
	}
	c.facts.TLS = c.wire.TLS()
	c.facts.Helo, c.facts.ESMTP, c.facts.User = "", false, ""
	return nil
}
