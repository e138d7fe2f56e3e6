package imap

import (
	"fmt"
	"strings"

	"github.com/posthouse-mail/posthouse/storage"
)

// Namespaces are the first levels of the names that lead out of a user's own
// account (RFC 2342). One that is empty is not served, nor is any without
// Server.Access, or over a store without the power storage.Finder; LIST shows
// other users' mailboxes when the store has the power storage.Sharer.
//
// A name leads to one place. What an account of its own has under the first
// level of a namespace that is served can't be reached, and nothing can be
// made there. INBOX is a name like others: with Other "Other Users", that of
// bob is "Other Users/bob/INBOX". The flags of a mailbox are the same for all
// who see it, \Seen too.
type Namespaces struct {
	// Other is where other users' accounts are: the second level is the name of
	// the account, and the rest the name of the mailbox in it. One's own is not
	// there, nor are users whose name can't be a level of a mailbox name: it has
	// a "/", "*" or "%", or is otherwise not what storage.CleanName returns.
	// What the identifier storage.Anyone is allowed, all users of the server
	// are. LIST shows what is shared of at most 1,000 users; more can be reached
	// by name.
	Other string
	// Public is where the public folders of a user's domain are, see
	// storage.PublicAccount.
	Public string
}

// check returns an error when the namespaces can't be served.
func (n Namespaces) check() error {
	for _, prefix := range [...]string{n.Other, n.Public} {
		clean, err := storage.CleanName(prefix)
		if prefix != "" && (err != nil || clean != prefix || strings.Contains(prefix, storage.Separator) || prefix == storage.Inbox) {
			return fmt.Errorf("%w: namespace %q", storage.ErrBadName, prefix)
		}
	}
	if n.Other != "" && n.Other == n.Public {
		return fmt.Errorf("%w: two namespaces are %q", storage.ErrBadName, n.Other)
	}
	return nil
}

// finder returns the power that serves namespaces; ok is false when none are.
func (s *Server) finder() (f storage.Finder, ok bool) {
	if s.Access == nil {
		return nil, false
	}
	return storage.As[storage.Finder](s.Store)
}

// namespaces returns those that are served to the session's user.
func (s *session) namespaces() Namespaces {
	n := s.server.Namespaces
	if _, ok := s.server.finder(); !ok {
		return Namespaces{}
	}
	if !storage.IsPublic(s.publicAccount()) {
		n.Public = ""
	}
	return n
}

// publicAccount has the public folders that the session's user can see. It is
// no account's name when he has no domain.
func (s *session) publicAccount() string { return storage.PublicAccount(storage.Domain(s.user)) }

// location is what a name says of where a mailbox is.
type location struct {
	owner string // of the account; empty: the name is a level above all accounts, or nobody's
	name  string // in the account
	full  string // the one name that clients have for it
}

// locate takes a clean name apart.
func (s *session) locate(name string) location {
	n := s.namespaces()
	first, rest, _ := strings.Cut(name, storage.Separator)
	switch {
	case first == "":
	case first == n.Public:
		return within(s.publicAccount(), first, rest)
	case first == n.Other:
		user, rest, _ := strings.Cut(rest, storage.Separator)
		if user != s.user && isLevel(user) {
			return within(user, first+storage.Separator+user, rest)
		}
	default:
		return location{s.user, name, name}
	}
	return location{full: name}
}

// within locates a name below that of an account.
func within(owner, account, name string) location {
	clean, err := storage.CleanName(name)
	if err != nil {
		return location{full: account}
	}
	return location{owner, clean, account + storage.Separator + clean}
}

// isLevel reports whether a user's name can be a level of a mailbox name as it
// is. The accounts of public folders are nobody's.
func isLevel(user string) bool {
	clean, err := storage.CleanName("x" + storage.Separator + user)
	return err == nil && clean == "x"+storage.Separator+user && !strings.Contains(user, storage.Separator) && user[0] != '@'
}
