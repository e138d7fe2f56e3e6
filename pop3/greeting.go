package pop3

import (
	"os"
	"strings"
	"time"
)

// maxGreeting bounds the greeting, in octets: with "+OK " and CRLF it is one
// line of a response (RFC 2449 §4).
const maxGreeting = 512 - len("+OK \r\n")

// tellMe greets front ends that may say XCLIENT: Dovecot's ask no CAPA.
const tellMe = "[XCLIENT] "

func (n *session) greet() {
	text := n.gate.greet(time.Now())
	if n.told.Trusted() {
		text = tellMe + text
		text = text[:min(len(text), maxGreeting)]
	}
	n.ok(text)
}

// greeting is the text of the first line (RFC 1939 §4).
func (g *gate) greet(now time.Time) string {
	text := g.greeting
	if text == "" {
		text = "%D POP3 server ready"
	}
	host := g.hostname
	if host == "" {
		host, _ = os.Hostname()
	}
	if host == "" {
		host = "localhost"
	}
	text = strings.NewReplacer("%D", host, "%U", now.Format(time.RFC1123Z)).Replace(text)
	text = strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return ' '
		}
		return c
	}, text)
	return text[:min(len(text), maxGreeting)]
}
