// Package mapping answers where a user lives: which host serves his mailbox.
//
// Invariants of this package:
//
//   - "Nobody here knows this user" (ErrNotMapped, a permanent answer) and "ask
//     again later" (ErrUnavailable) are never confused, and neither is mended by
//     a default host, by the next map of a chain or by what is remembered from
//     older days, unless the one who put them together said so.
//   - All spellings of a name are one user (NormalName).
package mapping

import (
	"context"
	"errors"
	"fmt"

	"github.com/posthouse-mail/posthouse/internal/power"
)

// Mapper finds the back end of a user.
type Mapper interface {
	// Map returns the route of a user, named as he logs in or as mail is
	// addressed to him, in any spelling: those that NormalName makes one are one
	// user. ErrNotMapped, ErrUnavailable; any other error counts as
	// ErrUnavailable.
	Map(ctx context.Context, user string) (Route, error)
}

// MapperFunc lets a function be a Mapper.
type MapperFunc func(ctx context.Context, user string) (Route, error)

// Map calls f.
func (f MapperFunc) Map(ctx context.Context, user string) (Route, error) { return f(ctx, user) }

// As finds an optional power T of a Mapper, through wrappers that have a
// method Unwrap() Mapper.
func As[T any](m Mapper) (T, bool) { return power.Of[T](m) }

// Kinds of failure. Test with errors.Is.
var (
	ErrNotMapped   = errors.New("user is not mapped")
	ErrUnavailable = errors.New("mapping is not available")
)

// ofKind makes any error that is not ErrNotMapped one of kind ErrUnavailable,
// and no error both.
func ofKind(err error) error {
	unknown, down := errors.Is(err, ErrNotMapped), errors.Is(err, ErrUnavailable)
	switch {
	case unknown && down:
		return fmt.Errorf("%w: %v", ErrUnavailable, err)
	case unknown || down:
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// Route is a way to a user's back end.
type Route struct {
	Host string  // a name or an address
	Port int     // 0: the protocol's own
	User string  // the user's name at the back end; empty means unchanged
	TLS  TLSMode // how to secure the connection
}

// TLSMode says how a connection to a back end is secured.
type TLSMode int

// The modes. The zero value lets the proxy's own setting decide.
const (
	TLSDefault  TLSMode = iota
	TLSNone             // plain text
	TLSStart            // STARTTLS or STLS, required
	TLSImplicit         // TLS from the first byte
)
