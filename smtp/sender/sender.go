// Package sender hands messages to other mail systems: it finds the hosts of
// a route, speaks SMTP (RFC 5321) or LMTP (RFC 2033) to the first that
// answers, and says what became of every recipient.
//
// Invariants of this package:
//
//   - Send returns one Result per recipient, in order, each with a Reply. A
//     2xx Reply came from the next hop after the whole message; nothing else
//     counts as sent.
//   - What can't be told for sure (a connection lost after the end of data) is
//     temporary: a duplicate is possible, a loss is not.
//   - Every attempt is bounded: in hosts, in connections, in the octets that
//     a peer may send, and in time ([Timeouts]).
//   - No octet of an envelope or a message can end a command or the data: an
//     address that exists is valid (package mail), and line ends of the content
//     are made CRLF. A lone CR becomes a space.
//   - Passwords travel only over verified TLS, unless a host's mode says TLSNone.
//
// Content with octets above 127 is sent as it is to a host without 8BITMIME:
// such hosts are 8-bit clean in practice, and converting would break DKIM
// signatures. Without SMTPUTF8 at the next hop, internationalized domains are
// written as A-labels; what has no such form bounces (RFC 6531 §3.5).
package sender

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/resolver"
)

// Options of a Sender. The zero value of each field is a sensible default,
// but Hostname should be set: others judge us by it.
type Options struct {
	Hostname string            // in EHLO; default "localhost"
	Resolver resolver.Resolver // default resolver.System()
	Port     int               // of hosts found by MX; default 25
	TLS      *tls.Config       // to start from: roots, versions, client certificates
	Timeouts Timeouts

	// Own are the addresses that this system receives mail on. A message that
	// would be sent to one of them is in a loop. An unspecified address
	// stands for all addresses of this machine.
	Own []netip.AddrPort
	// AllowPrivate are loopback, private and other special networks in which
	// hosts found by MX may stand nevertheless. Default: none. Hosts that a
	// Route names may stand anywhere.
	AllowPrivate []netip.Prefix

	MaxHosts      int // hosts of a route that are looked at; default 10
	MaxAttempts   int // connections tried for one job; default 10
	MaxRecipients int // in one transaction; more take several on one connection; default 100

	// Dial opens connections; default: a net.Dialer.
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)
	Logger *slog.Logger // default slog.Default()
}

// Timeouts bound the phases of a job. A zero field means its default, which
// is what RFC 5321 §4.5.3.2 asks for.
type Timeouts struct {
	Connect   time.Duration // a connection and, again, a TLS handshake; default 30 seconds
	Command   time.Duration // each command, from writing it to its whole reply; default 5 minutes
	DataBlock time.Duration // each write of content; default 3 minutes
	DataEnd   time.Duration // from the final dot to the reply; default 10 minutes
	Total     time.Duration // the whole job with all its attempts; default 30 minutes
}

// Job is one message for some recipients by one route.
type Job struct {
	ID       string        // for the log
	Domain   string        // of the recipients; its MX hosts are used when Route names none
	Route    Route         // the zero value: the MX hosts of Domain
	Envelope mail.Envelope // the recipients of this job only
	Body     message.Body  // must stay valid until Send returns
	Hello    string        // in EHLO; empty: the Hostname of Options
	Terms    Terms         // under which it is sent; zero: the usual ones
}

// Terms is a set of conditions of a job.
type Terms uint

// The conditions.
const (
	// Exact refuses what a host can't carry as it was asked for: content with
	// octets above 127 where there is no 8BITMIME, and recipients of whom a
	// report of success is wanted where there is no DSN. The usual ways are to send such content
	// nevertheless, and to leave the report to the caller (Result.DSN).
	Exact Terms = 1 << iota
)

// Result is what became of one recipient.
type Result struct {
	Reply *mail.Reply // 2xx: the next hop is responsible now; 4xx: try again later; 5xx: give up
	Host  string      // that said so; empty when none was reached
	DSN   bool        // with a 2xx Reply: the next hop understands DSN (RFC 3461) and reports success and failure itself
}

// Sender sends jobs. It keeps no state between them and is safe for
// concurrent use.
type Sender struct{ o Options }

// New returns a Sender.
func New(o Options) *Sender {
	o.Hostname = cmp.Or(o.Hostname, "localhost")
	o.Port = cmp.Or(o.Port, 25)
	o.MaxHosts = cmp.Or(o.MaxHosts, 10)
	o.MaxAttempts = cmp.Or(o.MaxAttempts, 10)
	o.MaxRecipients = cmp.Or(o.MaxRecipients, 100)
	t := &o.Timeouts
	t.Connect = cmp.Or(t.Connect, 30*time.Second)
	t.Command = cmp.Or(t.Command, 5*time.Minute)
	t.DataBlock = cmp.Or(t.DataBlock, 3*time.Minute)
	t.DataEnd = cmp.Or(t.DataEnd, 10*time.Minute)
	t.Total = cmp.Or(t.Total, 30*time.Minute)
	if o.Resolver == nil {
		o.Resolver = resolver.System()
	}
	if o.TLS == nil {
		o.TLS = &tls.Config{}
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Sender{o}
}

// Send tries the hosts of the job's route in order until every recipient has
// an answer. It returns one Result per recipient, in order. It never fails as
// a whole: what went wrong is a temporary or permanent Reply.
func (s *Sender) Send(ctx context.Context, j *Job) []Result {
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeouts.Total)
	defer cancel()
	a := &attempt{sender: s, job: j, results: make([]Result, len(j.Envelope.Recipients))}
	hosts, err := s.hosts(ctx, j)
	if err != nil {
		a.failed("", err)
	}
	for i, h := range hosts {
		if i == s.o.MaxHosts || a.finished(ctx) {
			break
		}
		a.host(ctx, h)
	}
	return a.finish()
}
