package smtp

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
	"github.com/posthouse-mail/posthouse/queue"
	"github.com/posthouse-mail/posthouse/smtp/sender"
)

// Router sends mail on to the back ends of its recipients: it is the Handler of
// a Server on a front end, whose Hooks its Hooks belong to. Nothing is ever
// delivered on the node itself, whatever domains it has. Set its fields before
// the first use and leave them alone then; Front is required.
//
// A recipient in a domain of the cluster is mapped at RCPT, and again when the
// message has arrived: put a mapping.Cache before a Mapper that is slow. Who is
// not mapped is refused (550 5.1.1), and while the map does not answer, the
// recipient is (451 4.4.3). Recipients in other domains are up to Relay and
// Foreign.
//
// A message goes to all its back ends at once, over a connection to each
// (a leg), with one more Received field; that is what ends a circle
// (Limits.ReceivedHops). It is refused when a back end can't carry what the client
// has asked for: REQUIRETLS, SMTPUTF8, binary or 8-bit content, a report of
// success. Server.Without says so to clients beforehand.
//
// The client gets these answers:
//
//   - Over LMTP, one for each recipient.
//   - Over SMTP there is only one, which is never that of a part. When every
//     recipient was accepted it is 250, and when all were refused for good, the
//     refusal.
//   - With a Queue, recipients that a back end has not accepted are queued
//     otherwise, and the answer is 250, even when none was accepted yet. The
//     worker of the queue sends to them by Send, and reports what fails for
//     good.
//   - Without a Queue, or when it fails, the strictest refusal is the answer: a
//     temporary one if there is any. When the client sends the message again,
//     those who have accepted it don't get it twice, as long as it comes to the
//     same Router within a day. After a permanent refusal, whose text says so,
//     they have it although the sender is told that it has failed.
//
// A back end that is out of reach, breaks off, or is lost amid the content is a
// temporary refusal by its recipients; so is an answer that is lost, which may
// make a duplicate.
type Router struct {
	Front *proxy.Front

	// Local says whether a domain, in the form of mail.DomainKey, is one of the
	// cluster's; an error answers 451. nil: all are. A recipient without a
	// domain, which is Postmaster, is the cluster's, and mapped by that name.
	Local func(ctx context.Context, domain string) (bool, error)
	// Relay decides who may send to other domains, as a Rcpt hook; nil: nobody
	// (550 5.7.1).
	Relay func(ctx context.Context, s *Session, e *mail.Envelope, r *mail.Recipient) error
	// Foreign takes over messages for the recipients in other domains; nil:
	// there are none.
	Foreign Handler

	// Speak says whether a back end is spoken to in proxy.LMTP or proxy.SMTP;
	// nil: LMTP.
	Speak func(mapping.Route) proxy.Protocol
	Queue queue.Queue // for what a back end does not accept now, where the client gets one answer; nil: nothing is kept here
	// Onward sends the queue's mail for other domains, for Send; nil: it stays
	// in the queue.
	Onward Sender

	Hostname string          // in EHLO, to back ends that are not told of the client; empty: "localhost"
	Legs     int             // of one message at the same time; 0: 20
	Timeouts sender.Timeouts // of a leg after the connection was made; default of Command 1 minute, of DataEnd 5, of Total 8, so that clients wait for an answer
	Logger   *slog.Logger    // nil: slog.Default

	once   sync.Once
	sender *sender.Sender
	taken  taken
}

// Sender hands a message to another system. A *sender.Sender is one.
type Sender interface {
	// Send returns one result per recipient of the job, in order, each with a
	// Reply.
	Send(ctx context.Context, j *sender.Job) []sender.Result
}

var _ Handler = (*Router)(nil)
var _ Sender = (*Router)(nil)

// prepare makes what the fields say.
func (r *Router) prepare() {
	t := r.Timeouts
	t.Command = cmp.Or(t.Command, time.Minute)
	t.DataEnd = cmp.Or(t.DataEnd, 5*time.Minute)
	t.Total = cmp.Or(t.Total, 8*time.Minute)
	r.sender = sender.New(sender.Options{Hostname: r.hostname(), Timeouts: t, Logger: r.log()})
}

func (r *Router) hostname() string { return cmp.Or(r.Hostname, "localhost") }

func (r *Router) log() *slog.Logger {
	if r.Logger == nil {
		return slog.Default()
	}
	return r.Logger
}
