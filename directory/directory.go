// Package directory knows the domains, accounts and aliases of a mail system
// and resolves an address to those who get its mail.
//
// Invariant of this package: an unknown address (ErrUnknown), an address of a
// foreign domain (ErrNotLocal) and a directory that can't answer
// (ErrUnavailable) are never confused.
package directory

import (
	"context"
	"errors"
	"iter"

	"github.com/posthouse-mail/posthouse/internal/power"
	"github.com/posthouse-mail/posthouse/mail"
)

// Directory resolves addresses.
type Directory interface {
	// Resolve returns who gets the mail of an address of a local domain:
	// each account and each foreign address once, aliases and groups followed.
	// A sub-address "user+tag" leads where "user" does, unless it is a name of
	// its own (RFC 5233). Postmaster, with or without a local domain, always
	// leads to somebody while there is an account (RFC 5321 §4.5.1).
	// ErrUnknown, ErrNotLocal, ErrUnavailable; ErrDisabled when nobody is left
	// but disabled accounts.
	Resolve(ctx context.Context, a mail.Address) ([]Recipient, error)
	// Local reports whether this system is responsible for a domain. Spellings
	// that mail.DomainKey holds to be equal are one domain.
	Local(ctx context.Context, domain string) (bool, error)
}

// Recipient is where an address leads.
type Recipient struct {
	Account string       // the account's name; empty when Forward is set
	Folder  string       // a mailbox of the account; empty means its INBOX
	Forward mail.Address // a foreign address to send to instead
}

// Kinds of failure. Test with errors.Is; any other error counts as ErrUnavailable.
var (
	ErrUnknown     = errors.New("no such recipient")
	ErrNotLocal    = errors.New("not a local domain")
	ErrDisabled    = errors.New("account is disabled")
	ErrExists      = errors.New("name is taken")
	ErrUnavailable = errors.New("directory is not available")
	ErrLimit       = errors.New("too many names")
)

// As finds an optional power T of a Directory, through wrappers that have a
// method Unwrap() Directory.
func As[T any](d Directory) (T, bool) { return power.Of[T](d) }

// Account is an account of the system.
type Account struct {
	Name     string   `json:"name"`               // its main address in normal form, user@domain
	Password string   `json:"password,omitempty"` // a hash, never clear text; empty: can't log in
	Disabled bool     `json:"disabled,omitempty"`
	Host     string   `json:"host,omitempty"`    // of the back end where it lives, as mapping.ParseRoute reads it; empty: where all do who name none
	Aliases  []string `json:"aliases,omitempty"` // further addresses that lead straight to it, normal form, sorted

	// Secrets are what mechanisms such as SCRAM need of the same password, by
	// scheme: auth.Secret's Scheme and Value. None of them is clear text.
	Secrets map[string]string `json:"secrets,omitempty"`
}

// SecretSchemes is an optional power of Accounts that keep Secrets.
type SecretSchemes interface {
	// SecretSchemes returns the schemes, sorted, of which every account that
	// has a password has a secret too. Only with these may a mechanism be
	// offered that needs one: nobody knows yet who will log in.
	SecretSchemes() []string
}

// Accounts is the power to look accounts up by the name somebody logs in with:
// the main address, or its local part when the domain is the primary one, in
// any letter case and Unicode form, with or without a sub-address. All of them
// give the same Account, whose Name is what limits and logs count by. A
// disabled account is returned, with Disabled set.
type Accounts interface {
	Account(ctx context.Context, login string) (Account, error) // ErrUnknown, ErrUnavailable
}

// Editor is the power to change a directory. Changes are durable when the
// methods return, and seen by the next lookup.
//
// Names are main addresses in any letter case. Of an unknown name they
// return ErrUnknown, of a malformed one mail.ErrBadAddress.
type Editor interface {
	Accounts
	// AddDomain makes a domain local; the first one is the primary domain.
	// ErrExists when it is local already.
	AddDomain(ctx context.Context, domain string) error
	// AddAccount adds an account with its aliases, all or nothing. ErrExists
	// when a name is taken, ErrNotLocal for a name in a foreign domain.
	AddAccount(ctx context.Context, a Account) error
	// SetPassword sets the hash of a password, and removes the secrets of the
	// one before.
	SetPassword(ctx context.Context, name, hash string) error
	// SetPasswordForms sets the hash of a password and its secrets in one
	// change; auth.PasswordForms makes them.
	SetPasswordForms(ctx context.Context, name, hash string, secrets map[string]string) error
	SetDisabled(ctx context.Context, name string, to Switch) error
	// AddAlias makes alias, an address of a local domain, lead to an account,
	// to another alias or to a foreign address. An alias that leads to several
	// is added several times. ErrExists when it leads there already or is an
	// account's name, ErrNotLocal for an alias in a foreign domain, ErrUnknown
	// when to is local and nobody has it.
	AddAlias(ctx context.Context, alias mail.Address, to string) error
	// RemoveAlias removes an alias with everything that it leads to.
	RemoveAlias(ctx context.Context, alias mail.Address) error
	// RemoveAccount removes an account and takes it out of every alias; an
	// alias that then leads nowhere is removed as well. Its mail is not
	// touched.
	RemoveAccount(ctx context.Context, name string) error
	List(ctx context.Context) iter.Seq2[Account, error] // by name
	Domains(ctx context.Context) ([]string, error)      // primary domain first
}

// Hoster is the power to say where an account lives, in a directory that serves
// several back ends.
type Hoster interface {
	// SetHost sets Account.Host. What it says is not looked at: who routes by
	// it decides. ErrUnknown for a name that nobody has.
	SetHost(ctx context.Context, name, host string) error
}

// Switch is on or off.
type Switch bool

// The two settings of a Switch.
const (
	Off Switch = false
	On  Switch = true
)
