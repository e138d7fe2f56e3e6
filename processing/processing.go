// Package processing is the mail flow: it decides who may send where, takes
// accepted messages over, delivers them to mailboxes and to the queue, works
// the queue off, and reports what failed.
//
// Invariants of this package:
//
//   - A message is acknowledged only when every recipient is durable in the
//     store or in the queue, or is named in the answer. What can't be told
//     for sure is done again: a duplicate is possible, a loss is not.
//   - Foreign recipients are accepted from authenticated and trusted clients
//     only; the local part of an address is never read as a route.
//   - An account gets a message once, whatever number of its recipients lead
//     to it.
//   - Every recipient ends as delivered, reported to the sender, or dropped
//     because nobody may be told: the sender is null, or asked for silence.
//     A report has a null sender, so no report is ever about a report.
//   - Work is bounded: attempts at a time in total and for each destination,
//     the time of each, and the size of what a report returns.
package processing

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/queue"
	"github.com/posthouse-mail/posthouse/smtp/sender"
	"github.com/posthouse-mail/posthouse/storage"
)

// Sender hands a message to another system. A *sender.Sender is one.
type Sender interface {
	// Send returns one result per recipient of the job, in order, each with a
	// Reply.
	Send(ctx context.Context, j *sender.Job) []sender.Result
}

// Options of a Processor. Directory, Store, Queue and Sender are required; the
// zero value of every other field is a sensible default.
type Options struct {
	Hostname  string // of this system, in reports; default "localhost"
	Directory directory.Directory
	Store     storage.Store
	Queue     queue.Queue
	Sender    Sender
	Router    Router // the way to foreign destinations; nil: their MX hosts

	Trusted    []netip.Prefix // clients that may send anywhere without authentication
	Senders    SenderPolicy   // which sender addresses authenticated clients may use
	Postmaster mail.Address   // in the From field of reports; default MAILER-DAEMON at Hostname

	Schedule       Schedule      // when to try again, and how long
	Concurrency    int           // attempts at a time; default 20
	PerDestination int           // of them, to one destination; default 2. Needs a queue with the power queue.Limiter
	Cooling        time.Duration // how long mail waits for a destination that was out of reach; default 1 minute, at most the first delay of Schedule; negative: not at all, for a Sender that knows by itself what is down
	Lease          time.Duration // how long an attempt may take; default 1 hour. More than the Sender's total time
	Drain          time.Duration // how long running attempts may go on when Run is told to stop; default 20 seconds

	DelayNotices DelayNotices  // who is told of a delay without asking
	DelayAfter   time.Duration // when; default 4 hours
	MaxReturn    int64         // octets of a message that a report returns whole; default 50 KiB, of a larger one the header

	Logger *slog.Logger // default slog.Default()
}

// SenderPolicy says which sender addresses an authenticated client may use.
type SenderPolicy int

// The policies.
const (
	OwnAddresses SenderPolicy = iota // addresses that lead to the account, and the null sender
	AnyAddress
)

// DelayNotices says who gets a notice when a message is delayed.
type DelayNotices int

// The settings. NOTIFY with DELAY always gets one (RFC 3461 §4.1).
const (
	DelayWhenAsked DelayNotices = iota
	DelayAlways                 // also senders that said nothing about it
)

// Processor is the mail flow of one system. It is safe for concurrent use.
type Processor struct {
	o    Options
	cold cooling
}

// New returns a Processor. It fails when something required is missing or an
// option can't work.
func New(o Options) (*Processor, error) {
	if o.Directory == nil || o.Store == nil || o.Queue == nil || o.Sender == nil {
		return nil, errors.New("processing needs a Directory, a Store, a Queue and a Sender")
	}
	o.Hostname = cmp.Or(o.Hostname, "localhost")
	if o.Postmaster.IsNull() {
		a, err := mail.ParseAddress("MAILER-DAEMON@" + o.Hostname)
		if err != nil {
			return nil, err
		}
		o.Postmaster = a
	}
	o.Schedule = o.Schedule.withDefaults()
	o.Concurrency = cmp.Or(o.Concurrency, 20)
	o.PerDestination = cmp.Or(o.PerDestination, 2)
	o.Cooling = min(cmp.Or(o.Cooling, time.Minute), o.Schedule.Delays[0])
	o.Lease = cmp.Or(o.Lease, time.Hour)
	o.Drain = cmp.Or(o.Drain, 20*time.Second)
	o.DelayAfter = cmp.Or(o.DelayAfter, 4*time.Hour)
	o.MaxReturn = cmp.Or(o.MaxReturn, 50<<10)
	if o.Router == nil {
		o.Router = Rules(nil)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Processor{o: o}, nil
}
