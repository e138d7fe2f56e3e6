package message

import (
	"bytes"
	"io"
)

// lineWindow is how much of a Body that is not in memory is held at once.
const lineWindow = 32 << 10

// lines walks over a Body line by line. A line that does not fit into the
// window comes in several pieces. CR LF and LF end a line; a lone CR is
// content.
type lines struct {
	body Body
	size int64
	read int64  // octets of body that were read into the window
	buf  []byte // the window's memory; nil when the whole body is in memory
	win  []byte // what is read and not yet walked over
	err  error

	data  []byte // the piece: a whole line with its end, or part of a long one
	off   int64  // where the piece begins
	eol   int    // octets of the line end that the piece ends with: 0, 1 or 2
	first bool   // the piece begins a line
	count int64  // lines begun so far

	prevEOL   int  // octets of the line end before this piece
	prevEmpty bool // nothing but its end was on the line before
}

func newLines(b Body, window int) lines {
	l := lines{body: b, size: b.Size(), eol: 1}
	if r, ok := b.(resident); ok {
		if all, ok := r.octets(); ok {
			l.win, l.read = all, l.size
			return l
		}
	}
	l.buf = make([]byte, min(int64(window), l.size))
	return l
}

// next moves to the next piece; it returns false at the end of the body and
// on an error.
func (l *lines) next() bool {
	l.off += int64(len(l.data))
	l.prevEOL = l.eol
	l.prevEmpty = l.first && len(l.data) == l.eol
	l.first = l.eol > 0
	i := bytes.IndexByte(l.win, '\n')
	if i < 0 {
		return l.more()
	}
	l.take(i)
	return true
}

// take makes the piece of the window up to the line feed at i.
func (l *lines) take(i int) {
	l.data, l.win = l.win[:i+1], l.win[i+1:]
	l.eol = 1
	if i > 0 && l.data[i-1] == '\r' {
		l.eol = 2
	}
	if l.first {
		l.count++
	}
}

// more goes on when the window holds no whole line.
func (l *lines) more() bool {
	if l.read < l.size {
		if l.err = l.fill(); l.err != nil {
			return false
		}
		if i := bytes.IndexByte(l.win, '\n'); i >= 0 {
			l.take(i)
			return true
		}
	}
	n := len(l.win)
	if n == 0 {
		l.data = nil
		return false
	}
	if l.read < l.size {
		n-- // a CR may be half of a line end
	}
	l.data, l.win = l.win[:n], l.win[n:]
	l.eol = 0
	if l.first {
		l.count++
	}
	return true
}

// fill reads as much as the window has room for.
func (l *lines) fill() error {
	n := copy(l.buf, l.win)
	want := int(min(int64(len(l.buf)-n), l.size-l.read))
	m, err := l.body.ReadAt(l.buf[n:n+want], l.read)
	if m < want {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	l.read += int64(m)
	l.win = l.buf[:n+m]
	return nil
}

// end is where the piece ends.
func (l *lines) end() int64 { return l.off + int64(len(l.data)) }
