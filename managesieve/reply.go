package managesieve

import (
	"strconv"
	"strings"
)

// failure is a negative answer that a client may see.
type failure struct {
	code string // without parentheses; empty: none
	text string
	kind kind
}

// kind says what else a failure does.
type kind int

const (
	refused kind = iota // nothing: the command was understood
	bad                 // counts as a command that could not be understood
	last                // ends the session
)

func (f *failure) Error() string { return f.text }

func refuse(code, text string) *failure { return &failure{code, text, refused} }

func misunderstood(text string) *failure { return &failure{"", text, bad} }

func farewell(text string) *failure { return &failure{"", text, last} }

// Errors of writing come back at the next read: they are not looked at here.

func (n *session) ok(text string) { n.answer("OK", "", text) }

// answer says the line that ends a response (RFC 5804 §1.2).
func (n *session) answer(status, code, text string) {
	if code != "" {
		status += " (" + code + ")"
	}
	_, _ = n.conn.WriteString(status + " " + quote(text) + "\r\n")
}

// maxQuoted bounds a quoted string (RFC 5804 §4), in octets.
const maxQuoted = 1024

// quote writes a string of a server.
func quote(text string) string { return quoteAs(text, "}\r\n") }

// quoteAs writes a string, where need be as a literal announced with an end.
func quoteAs(text, end string) string {
	if len(text) > maxQuoted || strings.ContainsAny(text, "\r\n\x00") {
		return "{" + strconv.Itoa(len(text)) + end + text
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
