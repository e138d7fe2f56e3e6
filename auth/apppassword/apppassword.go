// Package apppassword authenticates with app passwords: generated secrets, one
// for each program or device of a user, each good for some services only.
// Whoever has a second factor gives one to a program that can't ask for it,
// and takes it away again without changing his password.
//
// Invariants of this package:
//
//   - An app password is generated, never chosen, with 131 random bits. That
//     is why a fast salted hash of it is kept and a login costs microseconds:
//     slow hashes protect what can be guessed.
//   - It begins with its ID, so that one hash is checked, whatever the number
//     of a user's app passwords.
//   - Out of its services, its networks or its time it is nothing but a wrong
//     password (auth.ErrBadCredentials).
package apppassword

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/posthouse-mail/posthouse/auth/internal/secret"
)

// Lengths of an app password without its hyphens, in letters.
const (
	idLetters     = 8
	secretLetters = 28
)

// Bounds of what describes an app password.
const (
	maxName     = 200 // octets
	maxServices = 20
	maxNetworks = 20
)

// AppPassword is what is kept of an app password.
type AppPassword struct {
	ID       string         `json:"id"`                 // how its cleartext begins: for lists and logs, no secret
	Name     string         `json:"name"`               // what the user calls it: "phone"
	Services []string       `json:"services"`           // as in auth.Credentials, "imap", "pop3", …; "smtp" and "submission" are one
	Networks []netip.Prefix `json:"networks,omitempty"` // where it may be used; empty: everywhere
	Created  time.Time      `json:"created"`
	Expires  time.Time      `json:"expires,omitzero"`   // zero: never
	LastUsed time.Time      `json:"last_used,omitzero"` // zero: not yet
	Hash     string         `json:"hash"`               // of its cleartext
}

// ErrInvalid is the error of an app password that can't be: without a service,
// with a name that is no text, or of too much of anything.
var ErrInvalid = errors.New("invalid app password")

// New generates an app password for some services, one at least. The
// cleartext is for the user and is shown once. Networks and Expires may be set
// in what is returned before it is kept. ErrInvalid.
func New(name string, services ...string) (p AppPassword, cleartext string, err error) {
	id, random := secret.Letters(idLetters), secret.Letters(secretLetters)
	p = AppPassword{
		ID: id, Name: name, Services: slices.Clone(services), Created: time.Now().UTC().Truncate(time.Second), Hash: secret.Hash(id + random),
	}
	if err := p.check(); err != nil {
		return AppPassword{}, "", err
	}
	return p, secret.Group(id + random), nil
}

// check returns what is wrong with an app password: ErrInvalid.
func (p *AppPassword) check() error {
	switch {
	case !secret.IsLetters(p.ID, idLetters) || p.Hash == "":
		return fmt.Errorf("%w: it was not made by New", ErrInvalid)
	case p.Name == "" || len(p.Name) > maxName || !utf8.ValidString(p.Name) || strings.ContainsFunc(p.Name, unicode.IsControl):
		return fmt.Errorf("%w: a name is text of 1 to %d octets", ErrInvalid, maxName)
	case len(p.Services) == 0 || len(p.Services) > maxServices || slices.Contains(p.Services, ""):
		return fmt.Errorf("%w: it is for 1 to %d services", ErrInvalid, maxServices)
	case len(p.Networks) > maxNetworks || slices.ContainsFunc(p.Networks, func(n netip.Prefix) bool { return !n.IsValid() }):
		return fmt.Errorf("%w: it is for at most %d networks", ErrInvalid, maxNetworks)
	}
	return nil
}

// allows returns why an app password is not good for a service, from an
// address, at a time; empty: it is.
func (p *AppPassword) allows(service string, from netip.Addr, now time.Time) (why string) {
	from = from.Unmap().WithZone("")
	inNetwork := func(n netip.Prefix) bool { return n.Contains(from) }
	switch {
	case !p.Expires.IsZero() && !now.Before(p.Expires):
		return "it has expired"
	case !slices.ContainsFunc(p.Services, func(s string) bool { return canonical(s) == canonical(service) }):
		return "it is for other services"
	case len(p.Networks) > 0 && !slices.ContainsFunc(p.Networks, inNetwork):
		return "it is for other networks"
	}
	return ""
}

// canonical returns one name for the services that send mail: which of the
// two it is depends on the port alone.
func canonical(service string) string {
	if service = strings.ToLower(service); service == "submission" {
		return "smtp"
	}
	return service
}

// String shows ID and name, and not the hash.
func (p AppPassword) String() string { return fmt.Sprintf("app password %s %q", p.ID, p.Name) }

// GoString is String, for the verb %#v.
func (p AppPassword) GoString() string { return p.String() }

// LogValue keeps the hash out of structured logs.
func (p AppPassword) LogValue() slog.Value { return slog.StringValue(p.String()) }

// split returns the ID in a password, and all its letters; false when it is no
// app password. Hyphens may be left out: all or none.
func split(password string) (id, letters string, ok bool) {
	letters = strings.ReplaceAll(password, "-", "")
	if !secret.IsLetters(letters, idLetters+secretLetters) || password != letters && password != secret.Group(letters) {
		return "", "", false
	}
	return letters[:idLetters], letters, true
}
