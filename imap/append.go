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

// appendRequest is APPEND (RFC 9051 §6.3.12), or the end of REPLACE, while it
// arrives: its messages go to spools, only what stands around them is
// collected.
type appendRequest struct {
	appendReader
	dest  storage.Mailbox
	at    place // of dest
	most  int   // messages that may come
	msgs  []storage.NewMessage
	spool *message.Spool // of the message that arrives
	total int64          // octets of all messages

	replaces bool // another message goes when the one that comes is stored
}

// runAppend reads and runs APPEND, with several messages if need be (RFC 3502).
func runAppend(ctx context.Context, s *session) (result, error) {
	r := &appendRequest{most: maxAppends}
	if limit := s.limits.Messages; limit > 0 {
		r.most = min(r.most, limit)
	}
	defer r.close()
	r.begin(s)
	if err := r.read(ctx); err != nil {
		return result{}, r.refused(err)
	}
	uids, err := r.dest.Append(ctx, r.msgs...)
	if err != nil {
		return result{}, toDestination(err)
	}
	return result{code: r.appended(ctx, uids)}, nil
}

func (r *appendRequest) close() {
	for _, m := range r.msgs {
		m.Body.(*message.Spool).Close()
	}
}

// read takes everything from the mailbox's name on. Messages that could not be
// spooled are found here, once everything has been read.
func (r *appendRequest) read(ctx context.Context) error {
	r.p.space()
	name := r.p.decodeName(r.astring())
	for more := true; more; more = !r.done() {
		if err := r.message(ctx, name); err != nil {
			return err
		}
		if len(r.msgs) == r.most && !r.done() {
			return r.tooMany()
		}
	}
	for _, m := range r.msgs {
		if _, err := m.Body.(*message.Spool).Write(nil); err != nil {
			return errors.Join(errors.New("message could not be spooled"), err)
		}
	}
	return nil
}

func (r *appendRequest) tooMany() error {
	switch r.most {
	case r.s.limits.Messages:
		return r.s.errTooMany()
	case 1:
		return bad("Unexpected text after the command")
	}
	return no(imap.ResponseCodeLimit, "Too many messages")
}

// message reads "SP [flags SP] [date SP] data". The mailbox is looked up before
// any data is let come.
func (r *appendRequest) message(ctx context.Context, name string) error {
	var m storage.NewMessage
	r.p.space()
	if r.p.peek() == '(' {
		m.Flags = r.p.flags()
		r.p.space()
	}
	if r.p.peek() == '"' {
		m.Date = r.p.dateTime()
		r.p.space()
	}
	data := r.data()
	if r.p.err != nil {
		return r.p.err
	}
	if r.dest == nil {
		if err := r.open(ctx, name); err != nil {
			return toDestination(err)
		}
	}
	r.spool = message.NewSpool(r.s.server.SpoolDir, r.s.limits.SpoolMemory)
	m.Body, m.Flags = r.spool, settableOf(r.at.rights, m.Flags) // RFC 4314 §4: the others are dropped
	r.msgs = append(r.msgs, m)
	if err := data(ctx); err != nil {
		return err
	}
	if r.spool.Size() == 0 {
		return errEmptyMessage
	}
	return nil
}

// open finds the mailbox that messages go to.
func (r *appendRequest) open(ctx context.Context, name string) (err error) {
	if r.at, err = r.s.place(ctx, name, storage.RightInsert); err == nil {
		r.dest, err = r.at.open(ctx)
	}
	return err
}

var errEmptyMessage = no(imap.ResponseCodeCannot, "A message must not be empty")

// data finds out in which form the message comes, and returns what reads it.
func (r *appendRequest) data() func(context.Context) error {
	switch {
	case r.atLiteral():
		return r.literal
	case r.p.keyword("CATENATE"):
		return r.catenate
	case r.p.keyword("UTF8"):
		return r.utf8Literal
	}
	r.p.fail("Missing message literal")
	return nil
}

// literal takes the announced literal into the message. It is refused before
// the client is told to send it when there is no room.
func (r *appendRequest) literal(ctx context.Context) error {
	in := &r.s.in
	l := *in.next
	if l.size == 0 && !r.catenating {
		return errEmptyMessage
	}
	if err := r.room(ctx, l.size); err != nil {
		return err
	}
	if err := in.allow(l); err != nil {
		return err
	}
	if err := in.transfer(l.size, r.spool); err != nil {
		return err
	}
	r.total += l.size
	return r.next()
}

// room refuses octets for which there is none. One that is to take the place of
// another message has that one's room too: the store knows.
func (r *appendRequest) room(ctx context.Context, size int64) error {
	switch {
	case size > r.s.limits.AppendSize-r.total:
		return errAppendTooBig
	case r.replaces:
		return nil
	}
	return toDestination(r.s.roomFor(ctx, r.at, storage.Quota{Bytes: r.total + size, Messages: int64(len(r.msgs))}))
}

// utf8Literal reads "(~{n})" after UTF8 (RFC 6855 §4): a message that may have
// UTF-8 in its header. It is stored as every other.
func (r *appendRequest) utf8Literal(ctx context.Context) error {
	if !r.s.enabled(utf8only) {
		return bad("UTF8 is not enabled")
	}
	r.p.space()
	r.p.expect('(')
	if r.p.err == nil && (!r.atLiteral() || !r.s.in.next.binary) {
		r.p.fail("Missing binary literal")
	}
	if r.p.err != nil {
		return r.p.err
	}
	if err := r.literal(ctx); err != nil {
		return err
	}
	r.p.expect(')')
	return r.p.err
}

// appended is the response code for messages that were stored (RFC 4315 §3).
// They are stored even when it can't be made.
func (r *appendRequest) appended(ctx context.Context, uids []imap.UID) string {
	if r.s.selected.Load() == uint64(r.dest.ID()) {
		r.s.dirty.Store(true)
	}
	st, err := r.dest.Status(ctx)
	if err != nil || len(uids) == 0 {
		return ""
	}
	code := strconv.AppendUint([]byte("APPENDUID "), uint64(st.UIDValidity), 10)
	return string(appendUIDs(append(code, ' '), uids))
}
