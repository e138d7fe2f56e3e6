package imap

import (
	"context"
	"errors"
	"strconv"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// maxAppends bounds the messages of one APPEND.
const maxAppends = 100

var errAppendTooBig = no(imap.ResponseCodeTooBig, "Message is too large")

// appendRequest is APPEND (RFC 9051 §6.3.12) while it arrives: its messages
// go to spools, only what stands around them is collected.
type appendRequest struct {
	s      *session
	dest   string
	box    storage.Mailbox
	rights storage.Rights // there
	msgs   []storage.NewMessage
	total  int64
}

// runAppend reads and runs APPEND, with several messages if need be (RFC 3502).
func runAppend(ctx context.Context, s *session) (result, error) {
	r := &appendRequest{s: s}
	defer r.close()
	for {
		m, err := r.arguments(ctx)
		if err == nil {
			err = r.room()
		}
		if err != nil {
			if endsSession(err) {
				return result{}, err
			}
			return result{}, s.refused(err)
		}
		if err := r.receive(m); err != nil {
			return result{}, err
		}
		if len(s.in.buf) == 0 && s.in.next == nil {
			break
		}
	}
	return r.store(ctx)
}

func (r *appendRequest) close() {
	for _, m := range r.msgs {
		m.Body.(*message.Spool).Close()
	}
}

// arguments reads up to the literal of the next message. A mailbox name that
// is a literal itself is collected on the way.
func (r *appendRequest) arguments(ctx context.Context) (m storage.NewMessage, err error) {
	in := &r.s.in
	in.own()
	start := 0
	if r.dest == "" {
		start = r.s.running.args
		if in.next != nil && in.next.mark == start+1 { // the name itself
			if err := in.collectLiteral(); err != nil {
				return m, err
			}
			if err := in.collectLine(); err != nil {
				return m, err
			}
		}
	}
	p := &parser{buf: in.buf, lits: in.lits, pos: start, utf8: r.s.enabled(rev2 | utf8only)}
	p.space()
	name := ""
	if r.dest == "" {
		name = p.mailbox()
		p.space()
	}
	if m, err = p.appendArguments(in.next); err != nil {
		return m, err
	}
	if r.dest == "" {
		p, err := r.s.place(ctx, name, storage.RightInsert)
		if err == nil {
			r.box, err = p.open(ctx)
		}
		if err != nil {
			return m, toDestination(err)
		}
		r.dest, r.rights = name, p.rights
	}
	return m, nil
}

// appendArguments reads "[flags SP] [date SP]" before a message's literal.
func (p *parser) appendArguments(next *literal) (m storage.NewMessage, err error) {
	if p.peek() == '(' {
		m.Flags = p.flags()
		p.space()
	}
	if p.peek() == '"' {
		m.Date = p.dateTime()
		p.space()
	}
	if p.err == nil && (next == nil || next.mark != p.pos) {
		p.fail("Missing message literal")
	}
	return m, p.err
}

// room refuses a message before the client is told to send it.
func (r *appendRequest) room() error {
	size := r.s.in.next.size
	switch {
	case size > r.s.limits.AppendSize-r.total:
		return errAppendTooBig
	case len(r.msgs) >= maxAppends:
		return no(imap.ResponseCodeLimit, "Too many messages")
	case size == 0:
		return no(imap.ResponseCodeCannot, "A message must not be empty")
	}
	return nil
}

// receive takes a message off the connection, and the line that follows it.
func (r *appendRequest) receive(m storage.NewMessage) error {
	s, in := r.s, &r.s.in
	l := *in.next
	if err := in.allow(l); err != nil {
		return err
	}
	spool := message.NewSpool(s.server.SpoolDir, s.limits.SpoolMemory)
	m.Body, m.Flags = spool, settableOf(r.rights, m.Flags) // RFC 4314 §4: the others are dropped
	r.msgs = append(r.msgs, m)
	r.total += l.size
	s.conn.BeginTransfer(minimumRate)
	defer s.conn.EndTransfer()
	for left := l.size; left > 0; {
		w, err := s.conn.Window()
		if err != nil {
			return &broken{err}
		}
		w = w[:min(left, int64(len(w)))]
		_, _ = spool.Write(w) // sticky: store asks for it once everything was read
		s.conn.Advance(len(w))
		left -= int64(len(w))
	}
	in.buf, in.lits, in.next = nil, nil, nil
	line, err := in.line()
	if err != nil {
		return err
	}
	in.buf = append([]byte(nil), line...)
	in.announced()
	return nil
}

// store keeps the messages.
func (r *appendRequest) store(ctx context.Context) (result, error) {
	for _, m := range r.msgs {
		if _, err := m.Body.(*message.Spool).Write(nil); err != nil {
			return result{}, errors.Join(errors.New("message could not be spooled"), err)
		}
	}
	uids, err := r.box.Append(ctx, r.msgs...)
	if err != nil {
		return result{}, toDestination(err)
	}
	st, err := r.box.Status(ctx)
	if err != nil || len(uids) == 0 {
		return result{}, nil // stored all the same
	}
	if r.s.selected.Load() == uint64(r.box.ID()) {
		r.s.dirty.Store(true)
	}
	code := strconv.AppendUint([]byte("APPENDUID "), uint64(st.UIDValidity), 10)
	return result{code: string(appendUIDs(append(code, ' '), uids))}, nil
}
