package storage

import (
	"context"
	"fmt"
	"time"
)

// Quota bounds what an account or a mailbox holds, or says what it holds. As a
// bound, a field that is zero bounds nothing.
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

// Percent returns how much of its nearest bound used takes, 0 when q bounds
// nothing.
func (q Quota) Percent(used Quota) int {
	most := int64(0)
	for _, b := range [...]struct{ used, limit int64 }{
		{used.Bytes, q.Bytes}, {used.Messages, q.Messages}, {used.Mailboxes, q.Mailboxes},
	} {
		if b.limit > 0 {
			most = max(most, int64(float64(b.used)/float64(b.limit)*100))
		}
	}
	return int(most)
}

// Quotas is an optional power of an Account: bounds of its own in place of
// those that its domain's Settings give. What is over its bound already stays;
// deliveries, appends, copies and new mailboxes that would make it more, or
// keep it more, are refused with ErrOverQuota as a whole.
type Quotas interface {
	// Quota returns what bounds the account, and what it holds at one moment.
	Quota(ctx context.Context) (limit, used Quota, err error)
	// SetQuota gives the account bounds of its own; nil takes them away, so
	// that the domain's hold again.
	SetQuota(ctx context.Context, q *Quota) error
	// MailboxQuota returns what bounds a mailbox, and what it holds itself.
	MailboxQuota(ctx context.Context, name string) (limit, used Quota, err error)
	// SetMailboxQuota is SetQuota for one mailbox.
	SetMailboxQuota(ctx context.Context, name string, q *Quota) error
}

// Settings are what the accounts of a domain have in common. The zero value
// bounds nothing, keeps nothing that was expunged, and purges nothing.
type Settings struct {
	Quota        Quota // of each account without one of its own
	MailboxQuota Quota // of each mailbox without one of its own

	// Thresholds are percents of a quota, ascending. When a change takes an
	// account to one of them or above, a Notice is given, but none sooner than
	// NoticeEvery after the last unless it is of a higher threshold.
	Thresholds  []int
	NoticeEvery time.Duration

	Retention time.Duration // how long expunged messages can be restored, see Retainer; 0: not at all
	Purge     []Purge       // what is removed by age

	ACL ACLMode // how the access control entries of the domain's mailboxes are read
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
