package storage

import "context"

// Sharer is an optional power of a Store: SharedWith returns the accounts in
// which a list of access control (see ACLs) allows something to one of the
// identifiers, sorted. It reads no other account, so that it costs what is
// shared and not what is stored.
type Sharer interface {
	SharedWith(ctx context.Context, identifiers ...string) (users []string, err error)
}
