package imap

import (
	"context"

	"github.com/posthouse-mail/posthouse/message"
)

// writeEnvelope writes ENVELOPE (RFC 9051 §7.5.2).
func writeEnvelope(_ context.Context, m *fetching) error {
	m.out.text("ENVELOPE ")
	m.out.envelope(m.part.Envelope)
	return nil
}

func (o *output) envelope(e *message.Envelope) {
	if e == nil {
		e = &message.Envelope{}
	}
	o.byte('(')
	o.field(field{e.Date, e.HasDate})
	o.byte(' ')
	o.field(field{e.Subject, e.HasSubject})
	sender, replyTo := e.Sender, e.ReplyTo
	if len(sender) == 0 { // absent or empty: RFC 9051 says From
		sender = e.From
	}
	if len(replyTo) == 0 {
		replyTo = e.From
	}
	for _, list := range [][]message.Address{e.From, sender, replyTo, e.To, e.Cc, e.Bcc} {
		o.byte(' ')
		o.addresses(list)
	}
	o.byte(' ')
	o.field(field{e.InReplyTo, e.HasInReplyTo})
	o.byte(' ')
	o.field(field{e.MessageID, e.HasID})
	o.byte(')')
}

// field is a header field's text. One that is absent is NIL, one that is
// empty is not.
type field struct {
	text    string
	present bool
}

func (o *output) field(f field) {
	if !f.present {
		o.text("NIL")
		return
	}
	o.string(f.text)
}

func (o *output) addresses(list []message.Address) {
	if len(list) == 0 {
		o.text("NIL")
		return
	}
	o.byte('(')
	for _, a := range list {
		o.byte('(')
		o.nstring(a.Name)
		o.text(" NIL ") // a source route, which nobody has
		o.nstring(a.Mailbox)
		o.byte(' ')
		o.nstring(a.Host)
		o.byte(')')
	}
	o.byte(')')
}
