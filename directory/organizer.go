package directory

import (
	"context"
	"iter"

	"github.com/posthouse-mail/posthouse/mail"
)

// Group is an address whose mail goes to all of its members, and a name to
// which access control lists can give rights.
type Group struct {
	Name    string   `json:"name"`    // its address in normal form, user@domain
	Members []string `json:"members"` // accounts, aliases, other groups and foreign addresses; sorted
}

// Memberships is an optional power of a Directory: it tells who is in which
// groups.
type Memberships interface {
	// GroupsOf returns the names of all groups that an account is in, directly
	// or through groups in groups, sorted. ErrUnknown, ErrUnavailable.
	GroupsOf(ctx context.Context, account string) ([]string, error)
}

// Organizer is the power to change what a directory knows besides accounts
// and their aliases. Changes are durable when the methods return, and seen by
// the next lookup. Of a malformed name all return mail.ErrBadAddress.
//
// An address is looked up as a name first, then without its sub-address, then
// with its domain's catch-all.
type Organizer interface {
	// SetGroup makes a group, or gives one that is there other members; it may
	// have none. ErrExists when something else has the name, ErrNotLocal for a
	// name in a foreign domain, ErrUnknown when a member in a local domain is
	// nobody. Groups may be in each other.
	SetGroup(ctx context.Context, g Group) error
	// RemoveGroup removes a group and takes it out of every other. ErrUnknown.
	RemoveGroup(ctx context.Context, name string) error
	// Groups yields all groups, by name.
	Groups(ctx context.Context) iter.Seq2[Group, error]
	// AddDomainAlias makes alias a local domain in which every address leads,
	// and everybody logs in, as in domain. ErrExists when alias is local
	// already, ErrNotLocal when domain is not or is an alias itself.
	AddDomainAlias(ctx context.Context, alias, domain string) error
	// RemoveDomainAlias removes one. ErrUnknown.
	RemoveDomainAlias(ctx context.Context, alias string) error
	// SetCatchAll says who gets the mail of a domain's unknown addresses; the
	// zero Recipient: nobody, they are refused. ErrNotLocal for the domain,
	// ErrUnknown for an account that is not there.
	SetCatchAll(ctx context.Context, domain string, to Recipient) error
	// SetFolder makes an address lead to a mailbox of an account, as a public
	// folder's does to one of the account "@domain"; the zero Recipient removes
	// the address. ErrExists when something else has the name, ErrNotLocal,
	// ErrUnknown as above.
	SetFolder(ctx context.Context, a mail.Address, to Recipient) error
}
