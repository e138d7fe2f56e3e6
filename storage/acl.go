package storage

import "context"

// Rights are a set of the rights of RFC 4314 §2.1.
type Rights uint16

// The rights, each with its letter.
const (
	RightLookup         Rights = 1 << iota // l: the mailbox is visible
	RightRead                              // r
	RightSeen                              // s: keep \Seen
	RightWrite                             // w: keep other flags
	RightInsert                            // i
	RightPost                              // p: send mail to the mailbox's address
	RightCreate                            // k: make mailboxes below
	RightDeleteMailbox                     // x
	RightDeleteMessages                    // t: keep \Deleted
	RightExpunge                           // e
	RightAdmin                             // a: change the access control list

	AllRights Rights = 1<<iota - 1
)

// ACE is an access control entry: what one identifier is allowed and what it
// is denied. A right that is in neither is not set.
type ACE struct {
	Identifier string // a user's name, "anyone", or "group:" and a group's name
	Allow      Rights
	Deny       Rights // negative rights (RFC 4314 §2: "-" before the identifier)
}

// ACL is a list of access control entries, at most one for each identifier,
// sorted by identifier.
type ACL []ACE

// ACLMode says how access control entries are read.
type ACLMode uint8

const (
	// ACLPlain is RFC 4314: a mailbox's own list alone counts, and a new
	// mailbox begins with a copy of its parent's list.
	ACLPlain ACLMode = iota
	// ACLInherit looks at the lists of the whole chain from the account down to
	// the mailbox: a right that any of them denies is denied; else one that any
	// of them allows is allowed; else it is denied.
	ACLInherit
)

// ACLs is an optional power of an Account: its access control lists. The empty
// mailbox name is the account itself, above all of its mailboxes. The store
// keeps the lists; whoever serves the mailboxes to others enforces them.
type ACLs interface {
	// ACL returns the list of one mailbox. ErrNoMailbox.
	ACL(ctx context.Context, mailbox string) (ACL, error)
	// SetACL replaces it. ErrNoMailbox, ErrLimit.
	SetACL(ctx context.Context, mailbox string, list ACL) error
	// ACLChain returns the lists from the account down to the mailbox, as they
	// stand at one moment. ErrNoMailbox.
	ACLChain(ctx context.Context, mailbox string) ([]ACL, error)
}
