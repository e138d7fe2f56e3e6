package storage

import "context"

// ACE is an access control entry: what one identifier is allowed and what it
// is denied. A right that is in neither is not set; one that is in both is
// denied.
type ACE struct {
	Identifier string // a user's name, Anyone, or GroupPrefix and a group's name
	Allow      Rights
	Deny       Rights // negative rights (RFC 4314 §2: "-" before the identifier)
}

// ACL is a list of access control entries, at most one for each identifier,
// sorted by identifier. Stores keep it as ACL.Clean returns it; never change
// one in place.
type ACL []ACE

// ACLMode says how access control entries are read, see EffectiveRights.
type ACLMode uint8

const (
	// ACLPlain is RFC 4314: a mailbox's own list alone counts, and a new
	// mailbox begins with a copy of its parent's list (§4), at the top of the
	// account's own. A change of the parent's list later on, or of the mode of
	// the domain, changes no list of another mailbox.
	ACLPlain ACLMode = iota
	// ACLInherit looks at the lists of the whole chain from the account down to
	// the mailbox: a right that any of them denies is denied; else one that any
	// of them allows is allowed; else it is denied. A new mailbox begins with
	// an empty list.
	ACLInherit
)

// ACLs is an optional power of an Account: its access control lists. The empty
// mailbox name is the account itself, above all of its mailboxes. The store
// keeps the lists; whoever serves the mailboxes to others enforces them. A
// list goes with its mailbox when that is renamed, and is gone when it is
// deleted.
type ACLs interface {
	// ACL returns the list of one mailbox. ErrNoMailbox.
	ACL(ctx context.Context, mailbox string) (ACL, error)
	// SetACL replaces it by the clean form of another, and tells those who
	// Watch that the list of mailboxes changed, unless it was the same before.
	// ErrNoMailbox, and the errors of ACL.Clean.
	SetACL(ctx context.Context, mailbox string, list ACL) error
	// ACLChain returns the lists from the account down to the mailbox, as they
	// stand at one moment: one for the account and one for each level of the
	// name. ErrNoMailbox.
	ACLChain(ctx context.Context, mailbox string) ([]ACL, error)
}

// ACLLister is an optional power of an Account with ACLs: AllACLs returns all
// lists that are not empty, as they stand at one moment, by the name of their
// mailbox, and that of the account itself by the empty name. It costs less than
// to ask for each.
type ACLLister interface {
	AllACLs(ctx context.Context) (map[string]ACL, error)
}
