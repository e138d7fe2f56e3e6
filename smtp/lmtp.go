package smtp

import (
	"context"
	"errors"
	"fmt"

	"github.com/posthouse-mail/posthouse/mail"
)

// RecipientErrors answers for each recipient of an LMTP message on its own
// (RFC 2033 §4.2): one element per element of Envelope.Recipients, in order,
// nil for success. One of another length, and one from a server that does not
// speak LMTP, is answered 451.
type RecipientErrors []error

// Error tells how many recipients failed.
func (e RecipientErrors) Error() string {
	failed := 0
	for _, err := range e {
		if err != nil {
			failed++
		}
	}
	return fmt.Sprintf("%d of %d recipients failed", failed, len(e))
}

// answerEach says one reply per recipient (RFC 2033 §4.2, §4.3).
func (c *conversation) answerEach(ctx context.Context, in *intake, recipients int, err error) {
	each, ok := errors.AsType[RecipientErrors](err)
	if ok && len(each) != recipients {
		ok, err = false, mail.ErrTemporary.Because(err)
	}
	taken := false
	for i := range recipients {
		if ok {
			err = each[i]
		}
		r := c.outcome(in.message, err)
		c.say(r)
		switch {
		case r.Code < 400:
			taken = true
		case r.Code == 421:
			c.closing = true
			fallthrough
		default:
			c.facts.Errors++
			c.logRefused(ctx, command{verb: "DATA"}, r)
		}
	}
	if taken {
		c.accepted(ctx, in)
	}
}
