package smtp

import (
	"cmp"
	"context"
	"fmt"
	"slices"
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
	if c.keepsTLS() {
		c.sayLine("250-REQUIRETLS")
	}
	if c.told.Listens() && c.mayTell() {
		c.sayLine("250-XCLIENT " + attributes)
	}
	_, _ = c.wire.WriteString(c.extensions)
}

// keepsTLS reports whether REQUIRETLS may be asked for (RFC 8689 §2).
func (c *conversation) keepsTLS() bool { return c.KeepsTLS && c.facts.Secure() }

// fixedExtensions are the lines of EHLO that every session gets.
func (p *policy) fixedExtensions() string {
	all := []string{
		"PIPELINING",
		fmt.Sprintf("SIZE %d", p.limits.MessageSize), // RFC 1870
		"ENHANCEDSTATUSCODES",                        // RFC 2034
		"8BITMIME",                                   // RFC 6152
		"SMTPUTF8",                                   // RFC 6531
		"CHUNKING", "BINARYMIME",                     // RFC 3030
		"DSN", // RFC 3461
		fmt.Sprintf("LIMITS RCPTMAX=%d", p.limits.Recipients), // RFC 9422
		"HELP",
	}
	return extensionLines(slices.DeleteFunc(all, func(extension string) bool {
		keyword, _, _ := strings.Cut(extension, " ")
		return !p.understands(keyword)
	}))
}

// understands reports whether an extension is there.
func (p *policy) understands(keyword string) bool {
	return keyword == "ENHANCEDSTATUSCODES" || !slices.ContainsFunc(p.Without, func(s string) bool { return strings.EqualFold(s, keyword) })
}

// extensionLines writes the last lines of the answer to EHLO.
func extensionLines(all []string) string {
	var b strings.Builder
	for i, extension := range all {
		sep := "-"
		if i == len(all)-1 {
			sep = " "
		}
		b.WriteString("250" + sep + printable(extension) + "\r\n")
	}
	return b.String()
}
