// Package ldap connects to a directory that speaks LDAP (RFC 4511): OpenLDAP,
// Active Directory, or any other. It is the one way to such a directory for
// everything in Posthouse that looks users up there: mapping/ldapmap,
// auth/ldapauth, directory/ldapdir.
//
// Invariants of this package:
//
//   - It only reads, and no attribute has to be Posthouse's alone.
//   - What a client wrote is always escaped before it stands in a filter
//     (RFC 4515) or a name (RFC 4514), and an empty password never reaches a
//     bind (RFC 4513 §5.1.2).
//   - "There is no such entry" (ErrNoEntry), "the password is wrong"
//     (ErrPassword) and "ask again later" (ErrUnavailable) are never confused.
//   - Every answer is bounded in time, entries and octets.
//   - Connections for searches and for users' binds are apart: a bind changes
//     who a connection is.
package ldap

import (
	"context"
	"errors"
)

// Kinds of failure. Test with errors.Is; any other error counts as
// ErrUnavailable.
var (
	ErrNoEntry     = errors.New("no entry in the directory")
	ErrSeveral     = errors.New("several entries in the directory") // see Config.Several
	ErrPassword    = errors.New("wrong password")
	ErrDisabled    = errors.New("directory says that the account is disabled, locked or expired")
	ErrUnavailable = errors.New("LDAP directory is not available")
	ErrConfig      = errors.New("bad LDAP configuration") // of New alone
)

// Searcher finds entries. *Connector is one; tests have others.
type Searcher interface {
	// Lookup returns the entry of a user, named as he logs in or as mail is
	// addressed to him, with the attributes named and those that Config names.
	// ErrNoEntry, ErrSeveral, ErrUnavailable.
	Lookup(ctx context.Context, user string, attributes ...string) (*Entry, error)
	// Search returns the entries that fit. None is no error. ErrSeveral where
	// Query has a limit, ErrUnavailable.
	Search(ctx context.Context, q Query) ([]*Entry, error)
}

// Scope says how deep a search goes.
type Scope int

// The scopes. The zero value is the whole subtree.
const (
	Subtree Scope = iota
	OneLevel
	Base // the base entry alone
)

// Query is a search.
type Query struct {
	Base       string // empty: Config.Base
	Scope      Scope
	Filter     string   // what is not constant in it was escaped: see Escape
	Attributes []string // none: those that Config names
	Limit      int      // entries that are expected at most: see Config.Several. 0: all, up to Config.MaxEntries
}
