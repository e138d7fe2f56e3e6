package storage

import "context"

// Sharer is an optional power of a Store: SharedWith returns the accounts in
// which a list of access control (see ACLs), that of the account itself or of a
// mailbox, allows something to one of the identifiers, sorted. An entry that
// denies all that it allows does not count. It reads no other account, so that
// it costs what is shared and not what is stored.
type Sharer interface {
	SharedWith(ctx context.Context, identifiers ...string) (users []string, err error)
}

// Finder is an optional power of a Store: Find is Store.Account for an account
// that is there, and makes none. ErrNoMailbox when there is no account of that
// name.
type Finder interface {
	Find(ctx context.Context, user string) (Account, error)
}

// Shares reports whether an entry allows something: what it denies as well
// does not count.
func (e ACE) Shares() bool { return e.Allow&^e.Deny != 0 }
