package smtp

import (
	"context"

	smtp "github.com/emersion/go-smtp"

	"github.com/posthouse-mail/posthouse/mail"
)

// rcpt answers RCPT (RFC 5321 §4.1.1.3).
func (c *conversation) rcpt(ctx context.Context, arg string) *mail.Reply {
	switch {
	case c.tx == nil:
		return errMailFirst
	case c.tx.chunked != nil:
		return errInBdat
	}
	t := c.tx
	t.asked++
	var rcpt mail.Recipient
	if r := c.parseRcpt(arg, t.envelope.Options.UTF8, &rcpt); r != nil {
		return r
	}
	if len(t.envelope.Recipients) >= c.limits.Recipients {
		if t.refused++; t.refused > c.limits.Recipients {
			return errTooManyErrors
		}
		return errOvershoot
	}
	if !c.asksRcpt {
		return errNoRelay
	}
	if r := c.ask(func(h *Hooks) error {
		if h.Rcpt == nil {
			return nil
		}
		return h.Rcpt(ctx, &c.facts, &t.envelope, &rcpt)
	}); r != nil {
		return r
	}
	t.envelope.Recipients = append(t.envelope.Recipients, rcpt)
	return replyRcpt
}

func (c *conversation) parseRcpt(arg string, utf8 bool, rcpt *mail.Recipient) *mail.Reply {
	arg, ok := cutKeyword(arg, "TO:")
	if !ok {
		return errArgument
	}
	mailbox, params, ok := cutPath(arg)
	if !ok {
		return errRecipient
	}
	if rcpt.To, ok = parseRecipient(mailbox); !ok {
		return errRecipient
	}
	if !utf8 && !isASCII(arg) {
		return errNeedsUTF8
	}
	return eachParam(params, func(keyword, value string) *mail.Reply {
		if !c.understands(extensionOf(keyword, value)) {
			return errUnknownPar
		}
		return rcptParam(&rcpt.Options, keyword, value)
	})
}

// rcptParam reads one parameter of RCPT.
func rcptParam(o *smtp.RcptOptions, keyword, value string) *mail.Reply {
	ok := false
	switch keyword {
	case "NOTIFY":
		o.Notify, ok = parseNotify(value)
	case "ORCPT":
		o.OriginalRecipientType, o.OriginalRecipient, ok = parseOriginalRecipient(value)
	default:
		return errUnknownPar
	}
	if !ok {
		return errArgument
	}
	return nil
}
