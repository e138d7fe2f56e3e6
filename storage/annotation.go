package storage

import "context"

// Annotation is a named value that belongs to a mailbox or an account
// (RFC 5464).
type Annotation struct {
	// Name is the entry without its scope: "/comment", not "/shared/comment".
	// Letter case does not matter; a store keeps it in lower case.
	Name string
	// User is whose private annotation it is, as in Store.Account; empty: it
	// is shared.
	User  string
	Value []byte // nil, when it is set: remove it
}

// Bounds of the annotations of one mailbox or account.
const (
	MaxAnnotations     = 1000     // private ones of all users together with the shared ones
	MaxAnnotationName  = 255      // octets
	MaxAnnotationValue = 64 << 10 // octets
	MaxAnnotationsSize = 1 << 20  // octets of all names and values
)

// Annotations is an optional power of an Account: annotations of its mailboxes
// and of itself. The empty mailbox name is the account itself. They go with
// their mailbox when that is renamed, but those of INBOX stay with INBOX, and
// are gone when it is deleted.
type Annotations interface {
	// Annotations returns those of one mailbox, shared ones and those of user,
	// sorted by name, shared before private. ErrNoMailbox.
	Annotations(ctx context.Context, mailbox, user string) ([]Annotation, error)
	// Annotate sets or removes annotations, all or none, and tells those who
	// Watch that the list of mailboxes changed, unless nothing did. ErrNoMailbox,
	// ErrBadName for a name that begins with no "/", ends with one, or has "//",
	// "*", "%", or an octet that is no printable ASCII in it; ErrLimit when a
	// bound is reached.
	Annotate(ctx context.Context, mailbox string, set ...Annotation) error
}
