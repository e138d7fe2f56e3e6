package pop3

import "fmt"

// failure is a negative answer that a client may see.
type failure struct {
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

func refuse(text string) error { return &failure{text, refused} }

func misunderstood(text string) error { return &failure{text, bad} }

func farewell(text string) error { return &failure{text, last} }

// Errors of writing come back at the next read: they are not looked at here.

// ok answers a command with success.
func (n *session) ok(text string) {
	if text != "" {
		text = " " + text
	}
	_, _ = n.conn.WriteString("+OK" + text + "\r\n")
}

// okf is ok with a format.
func (n *session) okf(format string, args ...any) { n.ok(fmt.Sprintf(format, args...)) }

func (n *session) fail(text string) { _, _ = n.conn.WriteString("-ERR " + text + "\r\n") }

// lines sends the rest of a multi-line response (RFC 1939 §3). No line begins
// with a dot.
func (n *session) lines(lines []string) {
	for _, line := range lines {
		_, _ = n.conn.WriteString(line + "\r\n")
	}
	_, _ = n.conn.WriteString(".\r\n")
}
