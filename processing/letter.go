package processing

import (
	"time"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
)

// letter is a message on its way to its recipients, whatever door it came
// through: a client, the queue, or this package itself with a report.
type letter struct {
	id       string        // for the log and the client
	session  string        // that brought it
	envelope mail.Envelope // who wants it delivered
	trace    []byte        // header fields that go before body and are not in it yet
	body     message.Body
	index    *message.Part // of body; may be nil
	received time.Time
	account  accountKey // of a claim: the account that is still to be reached; the zero value: resolve the recipients
}

// whole returns trace and body joined.
func (l *letter) whole() message.Body { return message.Join(l.trace, l.body) }

// prefix returns the header fields that one mailbox gets before the body: who
// sent it (RFC 5321 §4.4), which address led here (RFC 9228), and the trace.
func (l *letter) prefix(delivered mail.Address) []byte {
	b := make([]byte, 0, len(l.trace)+len("Return-Path: <>\r\nDelivered-To: \r\n")+2*mail.MaxPathLength)
	b = append(b, "Return-Path: <"...)
	b = append(b, l.envelope.From.String()...)
	b = append(b, ">\r\nDelivered-To: "...)
	b = append(b, delivered.String()...)
	b = append(b, "\r\n"...)
	return append(b, l.trace...)
}
