package smtp

import (
	"context"
	"math"
	"strconv"
	"strings"

	smtp "github.com/emersion/go-smtp"

	"github.com/posthouse-mail/posthouse/mail"
)

// mail answers MAIL (RFC 5321 §4.1.1.2).
func (c *conversation) mail(ctx context.Context, arg string) *mail.Reply {
	switch {
	case c.facts.Helo == "" && c.Protocol == LMTP:
		return errLhloFirst
	case c.facts.Helo == "":
		return errEhloFirst
	case c.requireAuth && c.facts.User == "":
		return errNeedsAuth
	case c.tx != nil:
		return errNested
	}
	t := newTransaction()
	if r := c.parseMail(arg, &t.envelope); r != nil {
		return r
	}
	if r := c.ask(func(h *Hooks) error {
		if h.Mail == nil {
			return nil
		}
		return h.Mail(ctx, &c.facts, &t.envelope)
	}); r != nil {
		return r
	}
	c.tx = t
	c.told.Seal()
	return replySender
}

func (c *conversation) parseMail(arg string, e *mail.Envelope) *mail.Reply {
	arg, ok := cutKeyword(arg, "FROM:")
	if !ok {
		return errArgument
	}
	mailbox, params, ok := cutPath(arg)
	if !ok {
		return errSender
	}
	if e.From, ok = parseSender(mailbox); !ok {
		return errSender
	}
	if r := eachParam(params, func(keyword, value string) *mail.Reply {
		return c.mailParam(&e.Options, keyword, value)
	}); r != nil {
		return r
	}
	if !e.Options.UTF8 && !isASCII(mailbox) {
		return errNeedsUTF8
	}
	return nil
}

// mailParam reads one parameter of MAIL.
func (c *conversation) mailParam(o *smtp.MailOptions, keyword, value string) *mail.Reply {
	if !c.understands(extensionOf(keyword, value)) {
		return errUnknownPar
	}
	ok := false
	switch keyword {
	case "SIZE":
		if o.Size, ok = parseSize(value); ok && o.Size > c.limits.MessageSize {
			return errTooBig
		}
	case "BODY":
		o.Body, ok = parseBody(value)
	case "SMTPUTF8":
		o.UTF8, ok = true, value == ""
	case "RET":
		o.Return, ok = parseReturn(value)
	case "ENVID":
		o.EnvelopeID, ok = parseEnvelopeID(value)
	case "REQUIRETLS":
		if !c.keepsTLS() {
			return errUnknownPar
		}
		o.RequireTLS, ok = true, value == ""
	case "AUTH":
		if c.Auth == nil {
			return errUnknownPar
		}
		o.Auth, ok = c.parseMailAuth(value)
	default:
		return errUnknownPar
	}
	if !ok {
		return errArgument
	}
	return nil
}

// extensionOf names the extension that a parameter of MAIL or RCPT is of.
func extensionOf(keyword, value string) string {
	switch keyword {
	case "RET", "ENVID", "NOTIFY", "ORCPT":
		return "DSN"
	case "BODY":
		if strings.EqualFold(value, string(smtp.BodyBinaryMIME)) {
			return "BINARYMIME"
		}
		return "8BITMIME"
	}
	return keyword
}

// parseSize reads SIZE= (RFC 1870 §3): up to 20 digits, which may be more
// than any number here can hold; that is simply too big.
func parseSize(value string) (int64, bool) {
	if value == "" || len(value) > 20 {
		return 0, false
	}
	for i := 0; i < len(value); i++ {
		if value[i] < '0' || value[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return math.MaxInt64, true
	}
	return n, true
}

// parseBody reads BODY= (RFC 6152, RFC 3030 §3).
func parseBody(value string) (smtp.BodyType, bool) {
	switch b := smtp.BodyType(strings.ToUpper(value)); b {
	case smtp.Body7Bit, smtp.Body8BitMIME, smtp.BodyBinaryMIME:
		return b, true
	}
	return "", false
}

// parseMailAuth reads AUTH= (RFC 4954 §5). Only who authenticated is believed;
// for others it reads as "<>".
func (c *conversation) parseMailAuth(value string) (*string, bool) {
	none := ""
	if value == "<>" {
		return &none, true
	}
	text, ok := decodeXtext(value)
	if !ok || !isASCII(text) {
		return nil, false
	}
	if c.facts.User == "" {
		return &none, true
	}
	return &text, true
}
