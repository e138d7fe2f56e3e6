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
	// Put stores a message. It is durable when Put returns.
	Put(ctx context.Context, m *Message) (ID, error)
	// Claim leases up to n groups of recipients that are due, each group of
	// one message and one destination, fair between destinations. It returns
	// at once, with fewer or none when fewer are due.
	Claim(ctx context.Context, n int, lease time.Duration) ([]Claim, error)
	// Settle ends a claim with one outcome per recipient of the claim, in
	// order. Durable when it returns. ErrLeaseLost when the lease ended.
	Settle(ctx context.Context, c Claim, outcomes []Outcome) error
	// Next returns when the earliest unclaimed recipient is due, and a channel that is
	// closed when that may have changed. The zero time means there is none.
	Next() (due time.Time, changed <-chan struct{})
}

// As finds an optional power T of a Queue, through wrappers that have a
// method Unwrap() Queue.
func As[T any](q Queue) (T, bool) { return power.Of[T](q) }

// ID names a message in the queue for ever.
type ID uint64

// Message is a message to put into a queue.
type Message struct {
	Envelope     mail.Envelope
	Destinations []string     // per recipient: what it is grouped by, usually the domain's key; nil: the key of each recipient's domain
	Prefix       []byte       // header fields that stand before Body (Received), with CRLF
	Body         message.Body // the content
	Received     time.Time    // when it was accepted; zero means now
	NotBefore    time.Time    // of the first attempt; zero means at once
	Session      string       // the id of the session that brought it, for the log
}

// Claim is a leased group of recipients of one message.
type Claim struct {
	ID          ID
	Destination string
	From        mail.Address
	Envelope    mail.Envelope // with the claimed recipients only
	States      []State       // per recipient of Envelope
	Received    time.Time
	Session     string
	Until       time.Time    // when the lease ends
	Body        message.Body // prefix and body joined; valid until the claim is settled
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
	Retry   time.Time   // when to try again, if not Done
	Reply   *mail.Reply // why, for the list and the next State
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

// Administrator is the power to change what is queued. Both return how many
// recipients they touched; claimed recipients are left alone.
type Administrator interface {
	// Retry makes recipients due now: those of the messages ids, or all when ids is nil.
	Retry(ctx context.Context, ids []ID) (int, error)
	// Remove drops messages without a report.
	Remove(ctx context.Context, ids []ID) (int, error)
	// Wake makes the waiting recipients of one destination due now: it has
	// just answered (reference: domain wake-up).
	Wake(ctx context.Context, destination string) (int, error)
}
