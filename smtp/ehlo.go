package smtp

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/posthouse-mail/posthouse/mail"
)

// maxHelo bounds what a client may call itself; a domain has 255 octets.
const maxHelo = 255

// ehlo answers EHLO, HELO (RFC 5321 §4.1.1.1) and LHLO (RFC 2033 §4.1).
func (c *conversation) ehlo(ctx context.Context, cmd command) *mail.Reply {
	switch {
	case (cmd.verb == "LHLO") != (c.Protocol == LMTP):
		return errUnknown
	case !validHelo(cmd.arg):
		return errArgument
	}
	if c.facts.Helo != "" {
		c.idle()
	}
	c.reset()
	c.facts.Helo, c.facts.ESMTP = cmp.Or(c.helo, cmd.arg), cmd.verb != "HELO"
	if r := c.ask(func(h *Hooks) error {
		if h.Ehlo == nil {
			return nil
		}
		return h.Ehlo(ctx, &c.facts)
	}); r != nil {
		c.facts.Helo, c.facts.ESMTP = "", false
		return r
	}
	if !c.facts.ESMTP {
		c.sayLine("250 " + c.hostname)
		return nil
	}
	c.sayExtensions()
	return nil
}

// validHelo refuses what is not one printable word. Its truth is not checked
// here: RFC 5321 §4.1.4 forbids to refuse mail for that alone.
func validHelo(s string) bool {
	if s == "" || len(s) > maxHelo || !utf8.ValidString(s) {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) }) < 0
}

func (c *conversation) sayExtensions() {
	c.sayLine("250-" + c.hostname)
	if c.TLS != nil && !c.facts.Secure() && !c.told.Said() {
		c.sayLine("250-STARTTLS")
	}
	if names := c.mechanisms(); len(names) > 0 {
		c.sayLine("250-AUTH " + strings.Join(names, " "))
	}
	if c.told.Listens() && c.mayTell() {
		c.sayLine("250-XCLIENT " + attributes)
	}
	_, _ = c.wire.WriteString(c.extensions)
}

// fixedExtensions are the lines of EHLO that every session gets.
func (p *policy) fixedExtensions() string {
	return fmt.Sprintf("250-PIPELINING\r\n"+
		"250-SIZE %d\r\n"+ // RFC 1870
		"250-ENHANCEDSTATUSCODES\r\n"+ // RFC 2034
		"250-8BITMIME\r\n"+ // RFC 6152
		"250-SMTPUTF8\r\n"+ // RFC 6531
		"250-CHUNKING\r\n250-BINARYMIME\r\n"+ // RFC 3030
		"250-DSN\r\n"+ // RFC 3461
		"250-LIMITS RCPTMAX=%d\r\n"+ // RFC 9422
		"250 HELP\r\n", p.limits.MessageSize, p.limits.Recipients)
}
