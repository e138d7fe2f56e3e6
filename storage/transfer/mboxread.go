package transfer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// mboxSource reads an mbox, in the order of the file. A position is the octet
// at which a message begins.
type mboxSource struct {
	file  *os.File
	lines *mboxLines
	dir   string    // for spools
	from  time.Time // of the From_ line that was read; the message is next
	begun bool      // a From_ line was read
}

func openMbox(path, position, spoolDir string) (source, error) {
	offset := int64(0)
	if position != "" {
		var err error
		if offset, err = strconv.ParseInt(position, 10, 64); err != nil {
			return nil, fmt.Errorf("position in an mbox: %w", err)
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Size() < offset {
		err = fmt.Errorf("%s: %w", path, ErrChanged)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	s := newMboxSource(io.NewSectionReader(f, offset, 1<<62), offset)
	s.file, s.dir = f, spoolDir
	return s, nil
}

func newMboxSource(r io.Reader, offset int64) *mboxSource {
	return &mboxSource{lines: newMboxLines(r, offset)}
}

func (s *mboxSource) extent(context.Context) (messages, octets int64, err error) {
	info, err := s.file.Stat()
	if err != nil {
		return 0, 0, err
	}
	return 0, info.Size(), nil
}

func (s *mboxSource) Close() error { return s.file.Close() }

// next reads one message.
func (s *mboxSource) next(ctx context.Context) (*incoming, error) {
	for {
		if err := s.begin(); err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		in, internal, err := s.message()
		if err != nil {
			return nil, err
		}
		if !internal {
			return in, nil
		}
		in.body.Close()
	}
}

// begin finds the From_ line of the next message.
func (s *mboxSource) begin() error {
	for !s.begun {
		if err := s.lines.next(); err != nil {
			return err
		}
		switch date, ok := parseFromLine(s.lines.piece); {
		case ok && s.lines.first:
			s.from, s.begun = date, true
		case !s.lines.isEmpty():
			return fmt.Errorf("at octet %d: %w", s.lines.offset, ErrChanged)
		}
	}
	return nil
}

// message reads what follows a From_ line, up to the next one.
func (s *mboxSource) message() (in *incoming, internal bool, err error) {
	m := &mboxMessage{lines: s.lines, body: message.NewSpool(s.dir, 0)}
	defer func() {
		if err != nil {
			m.body.Close()
		}
	}()
	if err := m.preamble(); err != nil {
		return nil, false, err
	}
	s.begun, err = m.content(&s.from)
	if err != nil {
		return nil, false, err
	}
	flags, dropped := allowed(m.status.flags())
	in = &incoming{
		body: m.body, flags: flags, dropped: dropped, octets: s.lines.offset, position: strconv.FormatInt(s.lines.offset, 10),
		message: storage.Message{Date: storage.TrimDate(m.date), Size: m.body.Size()},
	}
	return in, m.status.internal, nil
}

// mboxMessage is a message of an mbox while it is read.
type mboxMessage struct {
	lines    *mboxLines
	body     *message.Spool
	status   mboxStatus
	date     time.Time
	inHeader bool // status lines are looked for
	skipping bool // the line, and those that continue it, are no part of the message
}

// preamble reads the lines that Export puts before the message. Where they are
// not, or another program moved them, the lines of the header say what they can.
func (m *mboxMessage) preamble() error {
	m.inHeader = true
	for _, want := range []string{messageLine, statusLine, xStatusLine, keywordsLine} {
		if err := m.lines.next(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		name, value := fieldOf(m.lines.piece)
		if name != want || !m.lines.first || !m.lines.whole {
			m.lines.kept = true
			return nil
		}
		m.status.take(name, value)
	}
	m.inHeader = false
	return nil
}

// content reads the message up to the next From_ line, whose date goes to
// from, or to the end of the file.
func (m *mboxMessage) content(from *time.Time) (more bool, err error) {
	m.date = *from
	convert := &addCR{w: m.body}
	u := &unquoter{w: convert}
	if m.status.ends == raw {
		u.w = m.body
	}
	out := &lastHeld{w: u}
	var empty []byte // an empty line that may belong to the From_ line behind it
	for {
		err := m.lines.next()
		if err != nil && err != io.EOF {
			return false, err
		}
		date, ok := time.Time{}, err == io.EOF
		if !ok && m.lines.first && empty != nil {
			date, ok = parseFromLine(m.lines.piece)
		}
		if ok {
			*from = date
			return err == nil, m.finish(out, u)
		}
		if _, err := out.Write(empty); err != nil {
			return false, err
		}
		empty = nil
		switch {
		case m.lines.isEmpty():
			m.inHeader, m.skipping = false, false
			empty = bytes.Clone(m.lines.piece)
		case m.passes():
			if _, err := out.Write(m.lines.piece); err != nil {
				return false, err
			}
		}
	}
}

// passes reports whether a piece is part of the message.
func (m *mboxMessage) passes() bool {
	switch {
	case !m.inHeader:
		return true
	case !m.lines.first:
		return !m.skipping
	case m.lines.piece[0] == ' ' || m.lines.piece[0] == '\t':
		return !m.skipping
	}
	name, value := fieldOf(m.lines.piece)
	m.skipping = name != ""
	if m.skipping {
		m.status.take(name, value)
	}
	return !m.skipping
}

// finish writes what was held back and settles on a date.
func (m *mboxMessage) finish(out *lastHeld, u *unquoter) error {
	if !m.status.date.IsZero() {
		m.date = m.status.date
	}
	if !m.status.added {
		if err := out.flush(); err != nil {
			return err
		}
	}
	return u.flush()
}
