package imap

import (
	"context"

	"github.com/posthouse-mail/posthouse/storage"
)

// Access says who a user is to access control lists (RFC 4314). Of his own
// account a user has all rights, and it is not asked.
type Access interface {
	// Subject returns who a user is to the lists of an owner's account, which
	// need not exist. storage.ErrNoMailbox: to him that account is not there,
	// whatever its lists say.
	Subject(ctx context.Context, user, owner string) (storage.Subject, error)
	// Mode says how the lists of a domain's accounts are read.
	Mode(domain string) storage.ACLMode
	// Identifier brings what a client wrote, without the "-" of negative
	// rights, into the form that lists have: every name that somebody can log
	// in with becomes that of his account. It must not tell who exists, so it
	// does the same with names that nobody has.
	Identifier(text string) string
}

// Rights that a group of checks is about.
const (
	flagRights  = storage.RightSeen | storage.RightWrite | storage.RightDeleteMessages
	writeRights = flagRights | storage.RightInsert | storage.RightExpunge // READ-WRITE with any (RFC 4314 §5.2)
	knowRights  = storage.RightLookup | storage.RightRead | storage.RightInsert | storage.RightCreate |
		storage.RightDeleteMailbox | storage.RightAdmin // MYRIGHTS with any (RFC 4314 §4)
	moveRights = storage.RightDeleteMessages | storage.RightExpunge // of the source of MOVE (RFC 6851 §4.2)
)

// permit returns an error when rights are not enough. Who may not look a
// mailbox up does not learn that it is there (RFC 4314 §6).
func permit(have, need storage.Rights) error {
	switch {
	case need != 0 && have&need == need, need == 0 && have&knowRights != 0:
		return nil
	case have&storage.RightLookup == 0:
		return storage.ErrNoMailbox
	}
	return errNoPerm
}

// rightsIn evaluates a chain of lists of an owner's account. Without a list
// nobody has more than what is always his.
func (s *session) rightsIn(owner string, chain []storage.ACL, who storage.Subject) storage.Rights {
	return storage.EffectiveRights(s.server.Access.Mode(storage.Domain(owner)), chain, who)
}

// settable returns which flags may be changed with rights.
func settable(r storage.Rights) (system storage.SystemFlags, keywords bool) {
	if r&storage.RightSeen != 0 {
		system |= storage.Seen
	}
	if r&storage.RightDeleteMessages != 0 {
		system |= storage.Deleted
	}
	if r&storage.RightWrite != 0 {
		system |= storage.Answered | storage.Flagged | storage.Draft
	}
	return system, r&storage.RightWrite != 0
}

// settableOf returns those of some flags that may be changed with rights.
func settableOf(r storage.Rights, f storage.Flags) storage.Flags {
	system, keywords := settable(r)
	f.System &= system
	if !keywords {
		f.Keywords = nil
	}
	return f
}
