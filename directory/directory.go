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
	// each account once, aliases and groups followed.
	Resolve(ctx context.Context, a mail.Address) ([]Recipient, error)
	// Local reports whether this system is responsible for a domain.
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
)

// As finds an optional power T of a Directory, through wrappers that have a
// method Unwrap() Directory.
func As[T any](d Directory) (T, bool) { return power.Of[T](d) }

// Account is an account of the system.
type Account struct {
	Name     string   `json:"name"`               // its main address in normal form, user@domain
	Password string   `json:"password,omitempty"` // a hash, never clear text; empty: can't log in
	Disabled bool     `json:"disabled,omitempty"`
	Aliases  []string `json:"aliases,omitempty"` // further addresses, normal form
}

// Accounts is the power to look accounts up by the name somebody logs in with:
// the main address, or its local part when the domain is the primary one.
type Accounts interface {
	Account(ctx context.Context, login string) (Account, error) // ErrUnknown, ErrUnavailable
}

// Editor is the power to change a directory. Changes are durable when the
// methods return, and seen by the next lookup.
type Editor interface {
	Accounts
	AddDomain(ctx context.Context, domain string) error
	AddAccount(ctx context.Context, a Account) error // ErrExists; ErrNotLocal for a foreign domain
	SetPassword(ctx context.Context, name, hash string) error
	SetDisabled(ctx context.Context, name string, to Switch) error
	AddAlias(ctx context.Context, alias mail.Address, account string) error
	RemoveAlias(ctx context.Context, alias mail.Address) error
	RemoveAccount(ctx context.Context, name string) error
	List(ctx context.Context) iter.Seq2[Account, error] // by name
	Domains(ctx context.Context) ([]string, error)      // primary domain first
}

// Switch is on or off.
type Switch bool

// The two settings of a Switch.
const (
	Off Switch = false
	On  Switch = true
)
