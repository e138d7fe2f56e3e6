// Package queue says what a mail queue is: messages that still have to be
// sent, with the state of each recipient. Implementations live in the
// packages below it; queuetest checks that one keeps the promises written
// here.
//
// Promises of every Queue:
//
//   - A message is durable when Put returns, an outcome when Settle returns:
//     kill -9 and power loss lose neither.
//   - A recipient is claimed by one claim at a time, until the claim is
//     settled, released or its lease ends. A lease that was lost in a crash
//     costs one more attempt, never the recipient.
//   - Destinations that are due take turns, so one with many messages never
//     delays another. Within a destination the earliest due comes first.
//   - A message and its content are gone when its last recipient is settled
//     for good, not before.
//   - Memory grows with destinations, not with messages.
//
// Optional powers of a Queue are found by [As], which follows Unwrap.
package queue

import (
	"context"
	"time"

	"github.com/posthouse-mail/posthouse/internal/power"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
)

// Queue keeps messages until every recipient has its final outcome.
type Queue interface {
	// Put stores a message. It is durable when Put returns. ErrBadMessage
	// when [Message.Check] refuses it, ErrFull when there is no room.
	Put(ctx context.Context, m *Message) (ID, error)
	// Claim leases up to n groups of recipients that are due, each group of
	// one message and one destination, fair between destinations. It returns
	// at once, with fewer or none when fewer are due. What two claimers do at
	// the same moment may leave one of them with none although more are due;
	// the channel of Next tells it when to come again.
	Claim(ctx context.Context, n int, lease time.Duration) ([]Claim, error)
	// Settle ends a claim with one outcome per recipient of the claim, in
	// order. Durable when it returns. ErrLeaseLost when the claim was settled
	// or released before, or its lease ended; but a queue may still take the
	// outcomes of a lease that ended while nobody else has claimed its
	// recipients, since that saves sending twice. After any other error the
	// claim stands as before and Settle can be called again.
	Settle(ctx context.Context, c Claim, outcomes []Outcome) error
	// Next returns when Claim will have something to give, and a channel that
	// is closed when that may have changed. That is when the earliest unclaimed
	// recipient is due or, if sooner, when a lease ends; recipients of a
	// destination at its limit (see Limiter) don't count. The zero time means
	// there is nothing to wait for but the channel.
	Next() (due time.Time, changed <-chan struct{})
}

// As finds an optional power T of a Queue, through wrappers that have a
// method Unwrap() Queue.
func As[T any](q Queue) (T, bool) { return power.Of[T](q) }

// ID names a message in the queue for ever.
type ID uint64

// Message is a message to put into a queue. Its Body stays the caller's and
// must be valid until Put returns.
type Message struct {
	Envelope     mail.Envelope
	Destinations []string     // per recipient: what it is grouped by, usually the domain's key; nil: the key of each recipient's domain
	Prefix       []byte       // header fields that stand before Body (Received), with CRLF
	Body         message.Body // the content; nil means empty
	Received     time.Time    // when it was accepted; zero means now
	NotBefore    time.Time    // of the first attempt; zero means at once
	Session      string       // the id of the session that brought it, for the log
}

// Claim is a leased group of recipients of one message.
type Claim struct {
	ID          ID
	Lease       uint64 // names this claim to the queue that gave it
	Destination string
	From        mail.Address  // as in Envelope
	Envelope    mail.Envelope // with the claimed recipients only
	States      []State       // per recipient of Envelope
	Received    time.Time
	Session     string
	Until       time.Time    // when the lease ends
	Body        message.Body // prefix and body joined; valid until the claim is settled or released, or its lease ends
}

// State is what is known of one recipient's attempts so far.
type State struct {
	Attempts int
	Last     *mail.Reply // of the last attempt; nil before the first
	Delayed  bool        // a delay notice was sent
}

// Outcome is the result of one attempt for one recipient.
type Outcome struct {
	Done    bool        // true: settled for good (sent, bounced or dropped); false: try again
	Retry   time.Time   // when to try again, if not Done; zero means at once
	Reply   *mail.Reply // why, for the list and the next State; only the text of its Reason is kept
	Delayed bool        // a delay notice was sent now
}

// Entry is one recipient of a queued message, as lists show it.
type Entry struct {
	ID          ID           `json:"id"`
	From        mail.Address `json:"from"`
	To          mail.Address `json:"to"`
	Destination string       `json:"destination"`
	Size        int64        `json:"size"`
	Received    time.Time    `json:"received"`
	Next        time.Time    `json:"next"`
	Attempts    int          `json:"attempts"`
	Claimed     bool         `json:"claimed"`
	LastReply   string       `json:"last_reply,omitempty"`
}

// Lister is the power to look into a queue: List calls yield for each
// recipient, by message, until it returns false.
type Lister interface {
	List(ctx context.Context, yield func(Entry) bool) error
	// Content returns the content of a queued message, prefix and body
	// joined. ErrNotQueued when there is no such message.
	Content(ctx context.Context, id ID) (message.OpenBody, error)
}

// Administrator is the power to change what is queued. Its methods return how
// many recipients they touched, durably also when they return an error; claimed
// recipients are left alone.
type Administrator interface {
	// Retry makes recipients due now: those of the messages ids, or all when ids is nil.
	// Those that are due already are not touched.
	Retry(ctx context.Context, ids []ID) (int, error)
	// Remove drops the messages ids without a report; nil is none of them.
	Remove(ctx context.Context, ids []ID) (int, error)
	// Wake makes the waiting recipients of one destination due now: it has
	// just answered. It costs nothing when none are waiting and one durable
	// change for every few hundred else, so it is for a destination that did
	// not answer before, not for every message that it takes.
	Wake(ctx context.Context, destination string) (int, error)
}

// Releaser is the power to give a claim back unused: its recipients are due
// again at once and no attempt is counted. ErrLeaseLost as in Settle.
type Releaser interface {
	Release(ctx context.Context, c Claim) error
}

// Limiter is the power to bound how many claims of one destination are held
// at a time. Recipients of a destination at its limit are not due until one of
// its claims ends. Zero or less means no bound, which is how a queue begins.
// The limit is not kept when the queue closes.
type Limiter interface {
	Limit(perDestination int)
}
