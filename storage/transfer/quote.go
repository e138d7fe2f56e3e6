package transfer

import (
	"bytes"
	"io"
)

// fromWord begins the line that separates the messages of an mbox.
const fromWord = "From "

// quoter writes text as mboxrd has it: with a '>' more in each line that is
// any number of '>' and then "From ".
type quoter struct {
	w    io.Writer
	seen int // octets of fromWord since the beginning of the line; -1: the line is another one
}

func (q *quoter) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		n, err := q.advance(p)
		if err != nil {
			return 0, err
		}
		p = p[n:]
	}
	return total, nil
}

// advance takes some octets of p.
func (q *quoter) advance(p []byte) (n int, err error) {
	switch {
	case q.seen < 0:
		if n = bytes.IndexByte(p, '\n') + 1; n > 0 {
			q.seen = 0
		} else {
			n = len(p)
		}
		_, err = q.w.Write(p[:n])
	case p[0] == fromWord[q.seen]:
		n = 1
		if q.seen++; q.seen == len(fromWord) {
			q.seen = -1
			_, err = io.WriteString(q.w, ">"+fromWord)
		}
	case q.seen == 0 && p[0] == '>':
		n = 1
		_, err = q.w.Write(p[:1])
	default:
		err = q.flush()
	}
	return n, err
}

// flush writes what was held back; the line goes on, or the text ends.
func (q *quoter) flush() error {
	held := max(q.seen, 0)
	q.seen = -1
	_, err := io.WriteString(q.w, fromWord[:held])
	return err
}

// unquoter undoes what a quoter did.
type unquoter struct {
	w      io.Writer
	seen   int  // as in quoter
	quoted bool // a '>' of this line is held back
}

func (u *unquoter) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		n, err := u.advance(p)
		if err != nil {
			return 0, err
		}
		p = p[n:]
	}
	return total, nil
}

func (u *unquoter) advance(p []byte) (n int, err error) {
	switch {
	case u.seen < 0:
		if n = bytes.IndexByte(p, '\n') + 1; n > 0 {
			u.seen = 0
		} else {
			n = len(p)
		}
		_, err = u.w.Write(p[:n])
	case p[0] == fromWord[u.seen]:
		n = 1
		if u.seen++; u.seen == len(fromWord) {
			u.quoted = false
			err = u.flush()
		}
	case u.seen == 0 && p[0] == '>':
		n = 1
		if u.quoted {
			_, err = u.w.Write(p[:1])
		}
		u.quoted = true
	default:
		err = u.flush()
	}
	return n, err
}

// flush writes what was held back; the line goes on, or the text ends.
func (u *unquoter) flush() error {
	held := fromWord[:max(u.seen, 0)]
	if u.quoted {
		held = ">" + held
	}
	u.seen, u.quoted = -1, false
	_, err := io.WriteString(u.w, held)
	return err
}

// lastHeld writes what it is given but for an LF at the end, which is held
// back until more follows.
type lastHeld struct {
	w    io.Writer
	held bool
}

func (l *lastHeld) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := l.flush(); err != nil {
		return 0, err
	}
	rest, held := bytes.CutSuffix(p, []byte{'\n'})
	l.held = held
	if _, err := l.w.Write(rest); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (l *lastHeld) flush() error {
	if !l.held {
		return nil
	}
	l.held = false
	_, err := l.w.Write([]byte{'\n'})
	return err
}
