package imap

import (
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/posthouse-mail/posthouse/internal/utf7"
	"github.com/posthouse-mail/posthouse/internal/wire"
)

// spillSize is how much a response may gather before it goes to the connection.
const spillSize = 16 << 10

var scratches = sync.Pool{New: func() any {
	b := make([]byte, 0, 2*spillSize)
	return &b
}}

// errUnread says that a body could not be read and nothing of it was announced.
var errUnread = errors.New("message content could not be read")

// output composes responses. Its buffer is there only while a command runs.
type output struct {
	conn *wire.Conn
	b    []byte
	from *[]byte // where b came from
	sent int     // octets that went to the connection since reset
	utf8 bool    // strings may be quoted in UTF-8
	rev2 bool    // IMAP4rev2 is enabled: there is no \Recent
	err  error   // of writing: sticky
}

// reset makes the buffer ready for a command.
func (o *output) reset() {
	if o.from == nil {
		o.from = scratches.Get().(*[]byte)
		o.b = (*o.from)[:0]
	}
	o.sent = 0
}

// release hands what is left to the connection and gives the buffer back.
func (o *output) release() error {
	o.spill()
	if o.from != nil {
		if cap(o.b) <= 4*spillSize {
			*o.from = o.b[:0]
			scratches.Put(o.from)
		}
		o.from, o.b = nil, nil
	}
	return o.err
}

func (o *output) spill() {
	if len(o.b) > 0 && o.err == nil {
		_, o.err = o.conn.Write(o.b)
		o.sent += len(o.b)
	}
	o.b = o.b[:0]
}

// mark names a place that rewind can return to.
func (o *output) mark() (mark int) { return o.sent + len(o.b) }

// rewind takes back what was written since mark; it returns false when that
// has left already.
func (o *output) rewind(mark int) bool {
	if mark < o.sent {
		return false
	}
	o.b = o.b[:mark-o.sent]
	return true
}

func (o *output) text(s string)   { o.b = append(o.b, s...) }
func (o *output) byte(c byte)     { o.b = append(o.b, c) }
func (o *output) number(n uint64) { o.b = strconv.AppendUint(o.b, n, 10) }
func (o *output) size(n int64)    { o.b = strconv.AppendInt(o.b, n, 10) }

// end ends a response line.
func (o *output) end() {
	o.b = append(o.b, '\r', '\n')
	o.more()
}

// more lets a part of a line go whose end is still to come; it can't be taken
// back then.
func (o *output) more() {
	if len(o.b) >= spillSize && o.conn != nil {
		o.spill()
	}
}

// string writes a quoted string, or a literal where quoting can't carry s:
// line breaks, octets above 127, or great length (RFC 9051 §4.3).
func (o *output) string(s string) {
	switch o.formOf(s) {
	case asLiteral:
		s = strings.ReplaceAll(s, "\x00", "?")
		o.byte('{')
		o.size(int64(len(s)))
		o.text("}\r\n")
		o.text(s)
		return
	case asQuoted:
		o.byte('"')
		o.text(s)
	case asEscaped:
		o.byte('"')
		for i := range len(s) {
			if s[i] == '"' || s[i] == '\\' {
				o.byte('\\')
			}
			o.byte(s[i])
		}
	}
	o.byte('"')
}

// form is how a string is written.
type form int

const (
	asQuoted  form = iota
	asEscaped      // quoted, with something to escape
	asLiteral
)

// maxQuoted bounds quoted strings: some clients read them into small buffers.
const maxQuoted = 4096

// What an octet asks of the string that it stands in.
const (
	escapes   = 1 << iota // to be escaped where it is quoted
	unquoted              // can't be quoted
	eightBits             // can be quoted in UTF-8 only
)

// octetNeeds says so for each octet.
var octetNeeds = func() (t [256]uint8) {
	t['"'], t['\\'] = escapes, escapes
	t[0], t['\r'], t['\n'] = unquoted, unquoted, unquoted
	for c := utf8.RuneSelf; c < len(t); c++ {
		t[c] = eightBits
	}
	return t
}()

func (o *output) formOf(s string) form {
	var needs uint8
	for i := range len(s) {
		needs |= octetNeeds[s[i]]
	}
	switch {
	case needs&unquoted != 0, len(s) > maxQuoted, needs&eightBits != 0 && !(o.utf8 && utf8.ValidString(s)):
		return asLiteral
	case needs&escapes != 0:
		return asEscaped
	}
	return asQuoted
}

// nstring is string, with NIL for the empty string.
func (o *output) nstring(s string) {
	if s == "" {
		o.text("NIL")
		return
	}
	o.string(s)
}

// astring writes an atom where s is one, else a string.
func (o *output) astring(s string) {
	if !isAtom(s) || strings.EqualFold(s, "NIL") {
		o.string(s)
		return
	}
	o.text(s)
}

// mailbox writes a mailbox name (RFC 9051 §5.1).
func (o *output) mailbox(name string) {
	if !o.utf8 {
		name = utf7.Encode(name)
	}
	o.astring(name)
}

// body writes n octets of r from off on as a literal, "~" before it when it
// is binary. The beginning is read before anything is announced: errUnread
// means that nothing was written. An error after that is a broken connection.
func (o *output) body(r io.ReaderAt, off, n int64) error {
	mark := len(o.b)
	o.byte('{')
	o.size(n)
	o.text("}\r\n")
	first := int(min(n, spillSize))
	start := len(o.b)
	o.b = slices.Grow(o.b, first)[:start+first]
	if m, err := r.ReadAt(o.b[start:], off); m < first {
		o.b = o.b[:mark]
		return errors.Join(errUnread, err)
	}
	if int64(first) == n {
		return nil
	}
	o.spill()
	if o.err != nil {
		return &broken{o.err}
	}
	if err := o.conn.WriteFrom(r, off+int64(first), n-int64(first)); err != nil {
		o.err = err
		return &broken{err}
	}
	o.sent += int(n) - first
	return nil
}

// clean makes text safe for a response line, whoever wrote it.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f {
			return '?'
		}
		return r
	}, text)
}
