package storage

import (
	"cmp"
	"context"
	"fmt"
	"strings"
)

// Annotation is a named value that belongs to a mailbox or an account
// (RFC 5464).
type Annotation struct {
	// Name is the entry without its scope: "/comment", not "/shared/comment".
	// Letter case does not matter; a store keeps it in lower case.
	Name string
	// User is whose private annotation it is, as in Store.Account; empty: it
	// is shared.
	User  string
	Value []byte // any octets; nil, when it is set: remove it
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
	// Annotations returns those of one mailbox: the shared ones and then those
	// of a user, if one is named, both sorted by name. ErrNoMailbox.
	Annotations(ctx context.Context, mailbox, user string) ([]Annotation, error)
	// Annotate sets or removes annotations, all or none, the last of those with
	// one name and user, and tells those who Watch that the list of mailboxes
	// changed, unless nothing did. ErrNoMailbox, the errors of Annotation.Clean,
	// and ErrLimit when there would be more than the bounds above.
	Annotate(ctx context.Context, mailbox string, set ...Annotation) error
}

// Clean returns the form in which stores keep an annotation: its name in lower
// case. ErrBadName for a name that begins with no "/", ends with one, or has
// "//", "*", "%", or an octet that is no printable ASCII in it, and for a user
// that none can be; ErrLimit when name or value are longer than the bounds
// above.
func (a Annotation) Clean() (Annotation, error) {
	switch {
	case len(a.Name) > MaxAnnotationName:
		return a, fmt.Errorf("%w: name of an annotation has %d octets", ErrLimit, len(a.Name))
	case len(a.Value) > MaxAnnotationValue:
		return a, fmt.Errorf("%w: annotation %s has %d octets", ErrLimit, a.Name, len(a.Value))
	case len(a.User) > MaxName:
		return a, fmt.Errorf("%w: of an account", ErrBadName)
	case !strings.HasPrefix(a.Name, Separator) || strings.HasSuffix(a.Name, Separator) || strings.Contains(a.Name, Separator+Separator),
		strings.ContainsFunc(a.Name, func(c rune) bool { return c < ' ' || c > '~' || c == '*' || c == '%' }):
		return a, fmt.Errorf("%w: annotation %q", ErrBadName, a.Name)
	}
	a.Name = strings.ToLower(a.Name)
	return a, nil
}

// CompareAnnotations orders annotations as Annotations returns them.
func CompareAnnotations(a, b Annotation) int {
	return cmp.Or(strings.Compare(a.User, b.User), strings.Compare(a.Name, b.Name))
}
