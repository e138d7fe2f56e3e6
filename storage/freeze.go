package storage

import "context"

// Freezer is an optional power of a Store: an account that is frozen can be
// read and not be changed, so that a copy of it stays one. It is for an account
// that moves to another store.
//
// Freeze returns when no change is made any more: from then on every change of
// the account, a delivery to it and Store.Account fail with ErrFrozen, a
// temporary failure, whoever asks for it. Only Thaw and RemoveAccount end that;
// it survives a restart. ErrNoMailbox when there is no such account. To freeze
// or to thaw one twice is no error.
//
// Frozen returns the names of the accounts that are frozen, sorted.
type Freezer interface {
	Freeze(ctx context.Context, user string) error
	Thaw(ctx context.Context, user string) error
	Frozen(ctx context.Context) ([]string, error)
}
