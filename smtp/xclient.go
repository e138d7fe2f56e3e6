package smtp

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"github.com/posthouse-mail/posthouse/internal/front"
	"github.com/posthouse-mail/posthouse/mail"
)

// attributes of XCLIENT that are taken, as EHLO announces them: those of
// Postfix without LOGIN, since nobody is logged in by another's word, and two of
// Dovecot.
const attributes = "NAME ADDR PORT PROTO HELO DESTADDR DESTPORT SESSION TTL"

// maxXclient is the longest XCLIENT command with its CRLF, as Postfix bounds it.
const maxXclient = 512

var (
	errXclient     = reply(501, 5, 5, 4, "Malformed or unknown XCLIENT attribute")
	errXclientLate = reply(503, 5, 5, 1, "XCLIENT comes before MAIL and AUTH")
	errProxyLoop   = reply(554, 5, 4, 6, "Too many proxies: they lead in a circle")

	errNoFront = errors.New("not from a trusted front end")
)

// xclient answers XCLIENT of Postfix
// (https://www.postfix.org/XCLIENT_README.html): a front end tells who its
// client is, and the session begins anew, with its greeting. Who is no front
// end finds no such command.
func (c *conversation) xclient(ctx context.Context, arg string) *mail.Reply {
	switch {
	case !c.told.Trusted():
		return errUnknown.Because(errNoFront)
	case !c.mayTell():
		return errNeedsTLS
	case !c.told.Listens():
		return errXclientLate
	case len("XCLIENT ")+len(arg)+len(crlf) > maxXclient:
		return errLineTooLong
	}
	c.idle()
	told, helo := *c.told, c.helo
	err := front.EachAttribute(arg, func(name, value string) error { return setXclient(&told, &helo, name, value) })
	switch {
	case errors.Is(err, front.ErrLoop):
		return c.lastWord(errProxyLoop.Because(err))
	case err != nil:
		return errXclient.Because(err)
	}
	*c.told, c.helo = told, helo
	return c.startAnew(ctx)
}

// mayTell reports whether a front end need not say STARTTLS first.
func (c *conversation) mayTell() bool { return !c.RequireTLS || c.facts.Secure() }

// setXclient takes an attribute with its value in xtext. A name and a protocol
// are looked at and not used: EHLO says the one, and nothing here believes the
// other.
func setXclient(told *front.Told, helo *string, name, value string) error {
	text, ok := decodeXtext(value)
	unknown := front.Unknown(text)
	switch name {
	case "HELO":
		if *helo = text; unknown {
			*helo = ""
		}
		ok = ok && (unknown || validHelo(text))
	case "NAME":
		ok = ok && (unknown || isHostText(text) && len(text) <= maxHelo)
	case "PROTO":
		ok = unknown || slices.Contains([]string{"SMTP", "ESMTP", "LMTP"}, strings.ToUpper(text))
	case "FORWARD": // what Dovecot's front ends tell Dovecot
		ok = true
	case "ADDR", "PORT", "DESTADDR", "DESTPORT", "SESSION", "TTL", "LOGIN":
		if ok {
			return told.Set(name, text)
		}
	default:
		ok = false
	}
	if !ok {
		return front.ErrMalformed
	}
	return nil
}

// startAnew begins the session that a front end has told of. It keeps the
// connection: TLS, and what was counted of errors.
func (c *conversation) startAnew(ctx context.Context) *mail.Reply {
	before, tls := c.facts.ID, c.facts.TLS
	c.leave()
	c.facts = c.newFacts()
	c.facts.TLS = tls
	c.log.LogAttrs(ctx, slog.LevelDebug, "front end tells of a client", slog.String("session", c.facts.ID),
		c.remoteAttr(), slog.String("was", before), c.told.Attr())
	if r := c.askConnect(ctx); r != nil {
		return c.lastWord(r)
	}
	c.sayLine("220 " + c.hostname + " " + c.greeting)
	return nil
}
