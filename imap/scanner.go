package imap

import (
	"bytes"
	"errors"
	"io"
	"math"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/internal/wire"
)

// Errors of framing. What follows them can't be told apart from commands, so
// each ends the session.
var (
	errLineTooLong = &goodbye{text: "Line too long", err: bad("Line too long")}
	errLineEnd     = &goodbye{text: "Lines must end with CR LF", err: bad("Lines must end with CR LF")}
	errTooBig      = &goodbye{text: "Command too large", err: &imap.Error{
		Type: imap.StatusResponseTypeBad, Code: imap.ResponseCodeTooBig, Text: "Command too large"}}
	errDrain = &goodbye{text: "Refused literal is too large to skip", err: &imap.Error{
		Type: imap.StatusResponseTypeBad, Code: imap.ResponseCodeTooBig, Text: "Literal too large"}}
)

// minimumRate is what a client must reach while it sends a literal, in octets
// per second.
const minimumRate = 500

// scanner takes one command off the connection: lines and the literals
// between them (RFC 9051 §2.2.1, §4.3, RFC 7888).
type scanner struct {
	conn   *wire.Conn
	limits Limits

	buf  []byte // of the running command; the first line lies in the connection's buffer
	lits []literal
	next *literal // announced at the end of the last line; nil: the command is complete
}

// begin reads the first line of a command.
func (s *scanner) begin() error {
	s.buf, s.lits, s.next = nil, nil, nil
	line, err := s.line()
	if err != nil {
		return err
	}
	s.buf = line[:len(line):len(line)] // appending copies
	s.announced()
	return nil
}

// line reads one line and cuts its end off.
func (s *scanner) line() ([]byte, error) {
	line, err := s.conn.ReadLine(s.limits.Line)
	switch {
	case errors.Is(err, wire.ErrLineTooLong):
		return nil, errLineTooLong
	case err != nil:
		return nil, &broken{err}
	case len(line) < 2 || line[len(line)-2] != '\r':
		return nil, errLineEnd
	}
	return line[:len(line)-2], nil
}

// announced looks for a literal at the end of the buffer.
func (s *scanner) announced() {
	s.next = nil
	l, ok := announcement(s.buf)
	if ok {
		s.next = &l
	}
}

// announcement parses "{n}", "{n+}" or "~{n}" at the end of a line. It counts
// wherever it stands there: a client that sends octets after it must not have
// them run as commands because the rest of the line was wrong.
func announcement(line []byte) (l literal, ok bool) {
	if !bytes.HasSuffix(line, []byte{'}'}) {
		return l, false
	}
	open := bytes.LastIndexByte(line, '{')
	if open < 0 {
		return l, false
	}
	digits := line[open+1 : len(line)-1]
	l.mark, l.sync = open, true
	if n := len(digits); n > 0 && digits[n-1] == '+' {
		digits, l.sync = digits[:n-1], false
	}
	if len(digits) == 0 {
		return l, false
	}
	for _, c := range digits {
		switch d := int64(c - '0'); {
		case c < '0' || c > '9':
			return l, false
		case l.size > (math.MaxInt64-d)/10:
			l.size = math.MaxInt64 // refused for its size whatever it was
		default:
			l.size = l.size*10 + d
		}
	}
	if open > 0 && line[open-1] == '~' {
		l.binary = true
		l.mark--
	}
	return l, true
}

// collect reads the rest of the command: every literal and line that follows.
func (s *scanner) collect() error {
	s.own()
	for s.next != nil {
		if err := s.collectLiteral(); err != nil {
			return err
		}
		if err := s.collectLine(); err != nil {
			return err
		}
	}
	return nil
}

// own copies the buffer out of the connection's, before more is read there.
func (s *scanner) own() {
	if s.next != nil && len(s.lits) == 0 {
		s.buf = append([]byte(nil), s.buf...)
	}
}

// collectLiteral reads the announced literal into the buffer.
func (s *scanner) collectLiteral() error {
	l := *s.next
	if l.size > int64(s.limits.Command-len(s.buf)) || len(s.lits) >= s.limits.Literals {
		return errTooBig
	}
	if err := s.allow(l); err != nil {
		return err
	}
	l.start = len(s.buf)
	s.conn.BeginTransfer(minimumRate)
	defer s.conn.EndTransfer()
	for left := int(l.size); left > 0; {
		w, err := s.conn.Window()
		if err != nil {
			return &broken{err}
		}
		w = w[:min(left, len(w))]
		s.buf = append(s.buf, w...)
		s.conn.Advance(len(w))
		left -= len(w)
	}
	s.lits = append(s.lits, l)
	return nil
}

// collectLine adds the line that follows a literal.
func (s *scanner) collectLine() error {
	line, err := s.line()
	if err != nil {
		return err
	}
	if len(s.buf)+len(line) > s.limits.Command {
		return errTooBig
	}
	from := len(s.buf)
	s.buf = append(s.buf, line...)
	s.next = nil
	if l, ok := announcement(s.buf[from:]); ok {
		l.mark += from
		s.next = &l
	}
	return nil
}

// allow tells a waiting client to send its literal.
func (s *scanner) allow(l literal) error {
	if !l.sync {
		return nil
	}
	if _, err := s.conn.WriteString("+ Ready for literal\r\n"); err != nil {
		return &broken{err}
	}
	return nil
}

// refuse reads away what the client sends of a refused command without being
// asked, so that none of it runs. bound is how many octets that may be.
func (s *scanner) refuse(bound int64) error {
	for s.next != nil && !s.next.sync {
		if s.next.size > bound {
			return errDrain
		}
		bound -= s.next.size
		if err := s.discard(s.next.size); err != nil {
			return err
		}
		line, err := s.line()
		if err != nil {
			return err
		}
		bound -= int64(len(line))
		s.next = nil
		if l, ok := announcement(line); ok {
			s.next = &l
		}
	}
	s.next = nil
	return nil
}

func (s *scanner) discard(n int64) error { return s.transfer(n, io.Discard) }

// transfer reads n octets into w, whose errors are sticky: who has w asks for
// them once everything was read.
func (s *scanner) transfer(n int64, w io.Writer) error {
	s.conn.BeginTransfer(minimumRate)
	defer s.conn.EndTransfer()
	for n > 0 {
		b, err := s.conn.Window()
		if err != nil {
			return &broken{err}
		}
		b = b[:min(n, int64(len(b)))]
		_, _ = w.Write(b)
		s.conn.Advance(len(b))
		n -= int64(len(b))
	}
	return nil
}

// done forgets the command's octets: a waiting session keeps none.
func (s *scanner) done() { s.buf, s.lits, s.next = nil, nil, nil }
