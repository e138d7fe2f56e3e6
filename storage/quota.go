package storage

import (
	"context"
	"fmt"
	"math/bits"
	"time"
)

// Quota bounds what an account or a mailbox holds, or says what it holds. As a
// bound, a field that is zero or less bounds nothing.
type Quota struct {
	Bytes     int64 // octets of all messages, with their prefixes
	Messages  int64
	Mailboxes int64 // of an account, INBOX among them; of a mailbox: itself and those below it
}

// Check returns ErrOverQuota when used is more than the bounds of q.
func (q Quota) Check(used Quota) error {
	switch {
	case q.Bytes > 0 && used.Bytes > q.Bytes:
		return fmt.Errorf("%w: %d of %d octets", ErrOverQuota, used.Bytes, q.Bytes)
	case q.Messages > 0 && used.Messages > q.Messages:
		return fmt.Errorf("%w: %d of %d messages", ErrOverQuota, used.Messages, q.Messages)
	case q.Mailboxes > 0 && used.Mailboxes > q.Mailboxes:
		return fmt.Errorf("%w: %d of %d mailboxes", ErrOverQuota, used.Mailboxes, q.Mailboxes)
	}
	return nil
}

// Percent returns how much of its nearest bound used takes, in whole percents,
// rounded down; 0 when q bounds nothing.
func (q Quota) Percent(used Quota) int {
	return max(percent(used.Bytes, q.Bytes), percent(used.Messages, q.Messages), percent(used.Mailboxes, q.Mailboxes))
}

// percent is exact, so that a threshold is reached exactly where it should be.
func percent(used, limit int64) int {
	if used <= 0 || limit <= 0 {
		return 0
	}
	const most = 1_000_000
	high, low := bits.Mul64(uint64(used), 100)
	if high >= uint64(limit) { // the quotient has more than 64 bits
		return most
	}
	p, _ := bits.Div64(high, low, uint64(limit))
	return int(min(p, most))
}

// Plus returns the sum of two quotas, field by field.
func (q Quota) Plus(o Quota) Quota {
	return Quota{Bytes: q.Bytes + o.Bytes, Messages: q.Messages + o.Messages, Mailboxes: q.Mailboxes + o.Mailboxes}
}

// Or returns the bounds of an account or a mailbox that has bounds of its own,
// or none, when q are its domain's.
func (q Quota) Or(own *Quota) Quota {
	if own != nil {
		return *own
	}
	return q
}

// Quotas is an optional power of an Account: bounds of its own in place of
// those that its domain's Settings give; own bounds that are all zero bound
// nothing. What is over its bound already stays, and may be flagged, moved
// within the account, renamed and expunged; deliveries, appends, copies and new
// mailboxes that would make it more are refused with ErrOverQuota. A refused
// change changes nothing, but a delivery goes on to its other targets.
//
// The mailboxes that an account begins with count, but are made whatever its
// bounds are. A mailbox keeps its own bounds when it is renamed; of INBOX,
// which leaves only its messages, they stay with INBOX.
type Quotas interface {
	// Quota returns what bounds the account, and what it holds at one moment.
	Quota(ctx context.Context) (limit, used Quota, err error)
	// SetQuota gives the account bounds of its own; nil takes them away, so
	// that the domain's hold again.
	SetQuota(ctx context.Context, q *Quota) error
	// MailboxQuota returns what bounds a mailbox, and what it holds itself; its
	// mailboxes are itself and those below it. ErrNoMailbox.
	MailboxQuota(ctx context.Context, name string) (limit, used Quota, err error)
	// SetMailboxQuota is SetQuota for one mailbox.
	SetMailboxQuota(ctx context.Context, name string, q *Quota) error
}

// RoomChecker is an optional power of a Store: CheckRoom returns ErrOverQuota
// when the account of a user has no room for a message of so many octets, so
// that it can be refused before it is sent. It makes no account, knows nothing
// of the bounds of mailboxes, and promises nothing about the next moment.
// ErrFrozen when the account takes nothing now, see Freezer.
type RoomChecker interface {
	CheckRoom(ctx context.Context, user string, size int64) error
}

// Settings are what the accounts of a domain have in common. The zero value
// bounds nothing, keeps nothing that was expunged, and purges nothing.
type Settings struct {
	Quota        Quota // of each account without one of its own
	MailboxQuota Quota // of each mailbox without one of its own

	// Thresholds are percents of an account's quota, ascending, above 0. When a
	// change takes an account to one of them or above, a Notice is given, and
	// no other until the account has reached a higher one, or has been below and
	// reaches it again. None is given sooner than NoticeEvery after the last
	// unless it is of a higher threshold.
	Thresholds  []int
	NoticeEvery time.Duration

	Retention time.Duration // how long expunged messages can be restored, see Retainer; 0: not at all
	Purge     []Purge       // what is removed by age

	ACL ACLMode // how the access control entries of the domain's mailboxes are read
}

// Reached returns the highest of the thresholds that a percentage has reached,
// 0 when it is below all.
func (s *Settings) Reached(percent int) (threshold int) {
	for _, t := range s.Thresholds {
		if t > threshold && t <= percent {
			threshold = t
		}
	}
	return threshold
}

// Notice tells that an account has reached a threshold of its quota.
type Notice struct {
	User      string
	Threshold int // percent
	Limit     Quota
	Used      Quota
}

// Domain returns the domain of an account's name: what stands after its last
// "@", all of it for the public folders of a domain (see PublicAccount), and
// nothing when there is no "@".
func Domain(user string) string {
	for i := len(user) - 1; i >= 0; i-- {
		if user[i] == '@' {
			return user[i+1:]
		}
	}
	return ""
}
