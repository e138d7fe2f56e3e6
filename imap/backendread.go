package imap

import (
	"bytes"
	"fmt"
	"strings"
)

// backendReply is a line of a back end.
type backendReply struct {
	tag  string // or untagged, or continuation
	kind string // OK, NO, CAPABILITY, …, in capitals
	code string // without brackets
	text string // what follows
}

const (
	untagged     = "*"
	continuation = "+"
)

// String is for logs: what a back end says, cut short.
func (r backendReply) String() string {
	text := r.kind + " " + r.text
	if r.code != "" {
		text = r.kind + " [" + r.code + "] " + r.text
	}
	return clean(text[:min(len(text), maxQuotedWords)])
}

// maxQuotedWords bounds what is told of a back end's words, in octets.
const maxQuotedWords = 300

// isStatus reports whether a response has a text, which may end like the
// announcement of a literal without being one.
func (r backendReply) isStatus() bool {
	switch r.kind {
	case "OK", "NO", "BAD", "BYE", "PREAUTH":
		return true
	}
	return r.tag != untagged
}

// read reads a response and notes the capabilities in it. Literals in it are
// left out.
func (b *backend) read() (backendReply, error) {
	line, err := b.line()
	if err != nil {
		return backendReply{}, err
	}
	r := parseResponse(line)
	for l, more := announcement(line); more && !r.isStatus(); l, more = announcement(line) {
		if err := b.skip(l.size); err != nil {
			return r, err
		}
		if line, err = b.line(); err != nil {
			return r, err
		}
	}
	switch words, told := cutPrefixFold(r.code, "CAPABILITY "); {
	case told:
		b.caps = strings.Fields(words)
	case r.tag == untagged && r.kind == "CAPABILITY":
		b.caps = strings.Fields(r.text)
	}
	return r, nil
}

// line reads a line and cuts its end off; it stays valid until the next read.
func (b *backend) line() ([]byte, error) {
	line, err := b.conn.ReadLine(min(maxBackendLine, b.budget))
	if err != nil {
		return nil, err
	}
	b.budget -= len(line)
	line, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok {
		return nil, fmt.Errorf("%w: a line ends without CR", errNotIMAP)
	}
	return line, nil
}

// skip reads a literal away.
func (b *backend) skip(n int64) error {
	if n > int64(b.budget) {
		return fmt.Errorf("%w: a literal is too long", errNotIMAP)
	}
	b.budget -= int(n)
	for n > 0 {
		w, err := b.conn.Window()
		if err != nil {
			return err
		}
		k := min(len(w), int(n))
		b.conn.Advance(k)
		n -= int64(k)
	}
	return nil
}

func parseResponse(line []byte) (r backendReply) {
	var rest string
	r.tag, rest, _ = strings.Cut(string(line), " ")
	if r.tag == continuation {
		r.text = rest
		return r
	}
	r.kind, r.text, _ = strings.Cut(rest, " ")
	r.kind = strings.ToUpper(r.kind)
	if inner, ok := strings.CutPrefix(r.text, "["); ok {
		if code, after, closed := strings.Cut(inner, "]"); closed {
			r.code, r.text = code, strings.TrimPrefix(after, " ")
		}
	}
	return r
}
