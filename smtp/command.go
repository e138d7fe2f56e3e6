package smtp

import (
	"bytes"
	"context"
	"strings"

	"github.com/posthouse-mail/posthouse/mail"
)

// command is a parsed command line.
type command struct {
	verb string // upper case; empty when the line was malformed
	arg  string // what follows the verb, without the spaces around it
}

// parse reads a command line (RFC 5321 §2.4, §4.1.1). A line that breaks the
// framing ends the session.
func (c *conversation) parse(line []byte) (command, *mail.Reply) {
	text, whole := bytes.CutSuffix(line, crlf)
	verb, arg, _ := bytes.Cut(text, []byte(" "))
	cmd := command{verb: verbOf(verb)}
	switch {
	case foreign(verb):
		return command{}, c.lastWord(errNotSMTP)
	case !whole || bytes.IndexByte(text, '\r') >= 0:
		return command{}, c.lastWord(errLineEnd)
	case len(line) > c.limits.CommandLine && cmd.verb != "AUTH":
		return command{}, c.lastWord(errLineTooLong)
	case cmd.verb == "" || hasControl(arg):
		return command{}, errSyntax
	}
	cmd.arg = strings.Trim(string(arg), " ")
	return cmd, nil
}

// maxVerb is the length of the longest verb, STARTTLS, with room to spare.
const maxVerb = 16

// verbOf returns a verb in upper case, empty when it is not made of letters.
func verbOf(b []byte) string {
	var upper [maxVerb]byte
	if len(b) == 0 || len(b) > maxVerb {
		return ""
	}
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c < 'A' || c > 'Z' {
			return ""
		}
		upper[i] = c
	}
	for _, known := range verbs {
		if string(upper[:len(b)]) == known {
			return known
		}
	}
	return string(upper[:len(b)])
}

// verbs are the usual ones, which then cost no memory.
var verbs = [...]string{"MAIL", "RCPT", "DATA", "BDAT", "EHLO", "LHLO", "HELO", "RSET", "NOOP", "QUIT", "AUTH", "STARTTLS"}

var crlf = []byte("\r\n")

func hasControl(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c == 0x7f {
			return true
		}
	}
	return false
}

// foreign recognizes other protocols: browsers that were tricked into talking
// to a mail server, and clients that are on the wrong port. None of what they
// send may be taken for commands.
func foreign(verb []byte) bool {
	switch string(bytes.TrimRight(verb, "\r\n")) {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PRI":
		return true
	}
	return bytes.HasPrefix(verb, []byte("SSH-")) || len(verb) > 1 && verb[0] == 0x16 && verb[1] == 0x03
}

// dispatch runs a command and returns its answer, nil when it was said already.
func (c *conversation) dispatch(ctx context.Context, cmd command) *mail.Reply {
	if c.RequireTLS && !c.facts.Secure() && !allowedInClear(cmd.verb) {
		if cmd.verb == "BDAT" {
			return c.skipBdat(ctx, cmd.arg, errNeedsTLS)
		}
		return errNeedsTLS
	}
	switch cmd.verb {
	case "EHLO", "HELO", "LHLO":
		return c.ehlo(ctx, cmd)
	case "STARTTLS":
		return c.startTLS(ctx, cmd.arg)
	case "AUTH":
		return c.auth(ctx, cmd.arg)
	case "XCLIENT":
		return c.xclient(ctx, cmd.arg)
	case "MAIL":
		return c.mail(ctx, cmd.arg)
	case "RCPT":
		return c.rcpt(ctx, cmd.arg)
	case "DATA":
		return c.data(ctx, cmd.arg)
	case "BDAT":
		return c.bdat(ctx, cmd.arg)
	case "RSET", "NOOP", "QUIT":
		return c.simple(cmd)
	case "VRFY", "EXPN", "HELP":
		return c.inform(cmd)
	case "ETRN", "ATRN", "TURN", "SEND", "SOML", "SAML":
		return errNotHere
	}
	return errUnknown
}

// allowedInClear says which commands RFC 3207 §4 allows before a TLS
// handshake that is required.
func allowedInClear(verb string) bool {
	switch verb {
	case "MAIL", "RCPT", "DATA", "BDAT", "AUTH", "VRFY", "EXPN", "ETRN":
		return false
	}
	return true
}
