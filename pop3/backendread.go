package pop3

import (
	"strings"

	"github.com/posthouse-mail/posthouse/proxy"
)

// backendReply is the first line of a back end's answer.
type backendReply struct {
	ok   bool
	more bool   // it asks for a response
	code string // the response code (RFC 2449 §8) without brackets
	text string // what follows: one line that is fit to be told
}

// String is for logs.
func (r backendReply) String() string {
	status := "-ERR"
	if r.ok {
		status = "+OK"
	}
	if r.code != "" {
		status += " [" + r.code + "]"
	}
	return status + " " + r.text
}

func (b *backend) command(line string) (backendReply, error) {
	if _, err := b.conn.WriteString(line + "\r\n"); err != nil {
		return backendReply{}, err
	}
	return b.answer()
}

// answer reads the first line of an answer.
func (b *backend) answer() (backendReply, error) {
	line, err := b.line()
	if err != nil {
		return backendReply{}, err
	}
	return parseReply(line)
}

func parseReply(line string) (r backendReply, err error) {
	status, text, _ := strings.Cut(line, " ")
	switch strings.ToUpper(status) {
	case "+OK":
		r.ok = true
	case "-ERR":
	case "+":
		r.more = true
		return r, nil
	default:
		return r, errNotPOP3 // what it says may repeat a password: it is not quoted
	}
	if inner, ok := strings.CutPrefix(text, "["); ok {
		if code, after, closed := strings.Cut(inner, "]"); closed {
			r.code, text = proxy.OneLine(code), after
		}
	}
	r.text = strings.TrimLeft(proxy.OneLine(text), "[ ") // it must not pass for a code of ours
	return r, nil
}

// line reads a line and cuts its end off. A bare LF ends a line too, as
// everywhere in POP3.
func (b *backend) line() (string, error) {
	line, err := b.conn.ReadLine(maxBackendLine)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r"), nil
}
