// Package smtp receives mail: an ESMTP and LMTP server engine (RFC 5321,
// RFC 2033, RFC 6409) that hands whole messages to a Handler and asks Hooks
// at every step on the way.
//
// Invariants of this package:
//
//   - A message ends at CR LF "." CR LF or at the last octet of BDAT LAST,
//     and nowhere else. No octet of a message ever runs as a command, however
//     the message was refused.
//   - Content with a CR or LF that stands alone is refused whole (550 5.6.11)
//     and the session goes on: its end was never in doubt. Only
//     BODY=BINARYMIME (RFC 3030) may carry such octets, in its body. A command
//     line that is malformed that way, too long or never ends closes the
//     connection, and nothing after it is parsed.
//   - 2xx after the end of a message means that the Handler took it over.
//   - Addresses keep the spelling of the client. What a client says reaches
//     trace fields and logs only without controls.
//   - Nothing is relayed by default: a Server without a Rcpt hook refuses
//     every recipient.
//   - Memory and time are bounded by Limits and Timeouts, whatever is sent.
//     An idle session holds a goroutine and no buffers.
//   - What was said before STARTTLS is forgotten after it, and what arrived
//     before the handshake is never seen.
package smtp

import (
	"context"
	"time"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
)

// Protocol is the dialect that a Server speaks. The zero value is ESMTP.
type Protocol int

// Dialects.
const (
	ESMTP      Protocol = iota // mail from other servers, port 25 (RFC 5321)
	Submission                 // mail from users, port 587 or 465 (RFC 6409): authentication is required
	LMTP                       // mail from a queue in the same house, one answer per recipient (RFC 2033)
)

// String returns "smtp", "submission" or "lmtp".
func (p Protocol) String() string {
	switch p {
	case Submission:
		return "submission"
	case LMTP:
		return "lmtp"
	default:
		return "smtp"
	}
}

// Handler takes over messages.
type Handler interface {
	// Handle returns nil when somebody else than the client is responsible
	// for the message from now on: it is stored or queued durably. A
	// *mail.Reply is shown to the client, one with a 2xx code as the text of
	// success; every other error answers 451 4.3.0 and is logged. With LMTP
	// it may return [RecipientErrors]. m and its Body are valid until Handle
	// returns.
	Handle(ctx context.Context, m *Message) error
}

// HandlerFunc lets a function be a Handler.
type HandlerFunc func(ctx context.Context, m *Message) error

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, m *Message) error { return f(ctx, m) }

// Message is a message that was received.
type Message struct {
	ID       string // names the transaction in the log, the Received field and the answer
	Session  *Session
	Envelope mail.Envelope // recipients that were accepted, in order, at least one
	Body     message.Body  // in a Header hook: the header alone, with its empty line
	Index    *message.Part // of Body; nil in a Header hook
	Trace    []byte        // the Received field, with CRLF, to stand before Body
	Received time.Time     // when the first octet of the content was asked for
}

// Hooks are questions that the Server asks while a message comes in. Any of
// them may be nil. Of several Hooks each is asked in order and the first error
// wins: a *mail.Reply is the answer, every other error answers 451 4.3.0 and
// is logged. A Reply with code 421 or 521 closes the connection after it. A
// Reply that is no refusal (2xx) counts as nil: the next hook is asked.
//
// Hooks of one session are called one at a time; those of several sessions at
// once. What a hook is given is valid until it returns.
type Hooks struct {
	// Connect is asked before the greeting. A refusal closes the connection.
	// On a front end's connection (Server.Fronts) it is asked at once, and again
	// when that tells of the client: to hooks this is another session, and the
	// one before it has closed.
	Connect func(ctx context.Context, s *Session) error
	// Ehlo is asked after EHLO, HELO and LHLO; s.Helo is what the client says it is.
	Ehlo func(ctx context.Context, s *Session) error
	// Mail is asked for the sender and the parameters of a new message; it may change e.
	Mail func(ctx context.Context, s *Session, e *mail.Envelope) error
	// Rcpt is asked for each recipient; e holds those before it. It may change r.
	// It is where relaying is decided: without any Rcpt hook all are refused.
	Rcpt func(ctx context.Context, s *Session, e *mail.Envelope, r *mail.Recipient) error
	// Header is asked when the header has arrived, mostly before the body has.
	// After a refusal the rest of the message is read and dropped.
	Header func(ctx context.Context, m *Message) error
	// Data is asked when the message has arrived; it may change m for the
	// hooks after it and the Handler, but with LMTP not the number of recipients.
	Data func(ctx context.Context, m *Message) error
	// Close is told when the session is over, once for each that got as far
	// as Connect; s holds the counters.
	Close func(s *Session)
}
