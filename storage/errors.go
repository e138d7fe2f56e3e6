package storage

import "errors"

// Errors of stores. Test for them with errors.Is; every other error is a
// failure of the store itself and temporary.
var (
	ErrNoMailbox     = errors.New("no such mailbox")
	ErrMailboxExists = errors.New("mailbox exists")
	ErrHasChildren   = errors.New("mailbox has children")
	ErrBadName       = errors.New("mailbox name not allowed")
	ErrBadKind       = errors.New("mailbox can't have that kind")
	ErrBadACL        = errors.New("access control list not allowed")
	ErrNoMessage     = errors.New("no such message")
	ErrOverQuota     = errors.New("over quota")
	ErrResync        = errors.New("changes that old are no longer known")
	ErrLimit         = errors.New("limit of the store reached")
	ErrFrozen        = errors.New("account is being moved") // see Freezer
	ErrClosed        = errors.New("store is closed")
)
