// Package gssapi brings the SASL mechanism GSSAPI (RFC 4752), which is Kerberos
// V5 (RFC 4120, RFC 4121): clients show a ticket for a service of this host,
// and a keytab is all that the host needs to check it.
//
// Invariants of this package:
//
//   - The key distribution centre is never asked for anything: while it is
//     down, whoever has a ticket gets in.
//   - What a client sends is auth.ErrBadCredentials when it is malformed,
//     whatever it is, and never a panic.
//   - The client's name is that of the ticket, which its centre vouches for,
//     and nobody is told apart by what he writes himself.
//   - Neither keys nor tokens are in any error.
//   - No security layer is offered: TLS is there for that.
package gssapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/hotfile"
)

// Options say which tickets are good. One of Keytab and KeytabData is needed;
// of the others a zero field means what its comment says.
type Options struct {
	Keytab     string // path of the file with the keys of imap/HOST, pop/HOST, smtp/HOST, and of whatever else
	KeytabData []byte // or its content

	// Hostname is the HOST of the principals, in any letter case; empty: every
	// host whose key is in the keytab.
	Hostname string
	// Realms are the clients' realms; empty: the realm of the service alone. A
	// client of another realm needs a ticket whose path through the realms
	// between was checked by the centre (RFC 4120 §2.7).
	Realms []string

	// ClockSkew is how far the clock of a client may be off, either way; 0:
	// five minutes.
	ClockSkew time.Duration
	// Replays is how many logins are remembered, each for two to four times
	// ClockSkew, so that nobody repeats one who has listened; 0: 100,000, some
	// 10 MB when all are there. Clients that let the server prove itself need
	// no memory; others are auth.ErrUnavailable when it is full.
	Replays  int
	Unproved Unproved // clients that don't let the server prove itself
}

// Unproved says what becomes of clients that don't let the server prove itself
// (mutual authentication, RFC 4120 §3.2.4), as curl does not. A request of
// theirs could be repeated by who has listened, so that it must be remembered.
type Unproved int

// What becomes of them.
const (
	// TakeUnproved takes them. What one process remembers another does not know:
	// no other may serve the same principal then.
	TakeUnproved Unproved = iota
	RefuseUnproved
)

// Authenticator is an auth.Authenticator that brings the mechanism GSSAPI
// (auth.Mechanist) to another one, which says whose account the principal of a
// verified ticket is: it gets an auth.Ticket.
//
// It does not know what was shown before New, so that clients that don't let
// the server prove itself are auth.ErrUnavailable in the half minute after it
// (or ClockSkew, when that is less): RFC 4120 §3.2.3 wants that. Their clocks
// must not be ahead by more.
type Authenticator struct {
	next    auth.Authenticator
	o       Options
	keys    *keys // nil: those of file
	file    *hotfile.File[keys]
	replays *replays
	began   time.Time
	now     func() time.Time
}

var (
	_ auth.Authenticator = (*Authenticator)(nil)
	_ auth.Mechanist     = (*Authenticator)(nil)
)

// Errors of New.
var (
	ErrKeytab    = errors.New("unusable keytab")
	ErrNoTickets = errors.New("nobody knows whose tickets are good")
)

// New returns an Authenticator over next, whose auth.Prover must know
// auth.Tickets, or it is ErrNoTickets. A keytab that can't be read, or that
// holds no key of a service of Hostname, is ErrKeytab. It starts nothing: call Reload
// when the keytab has changed, or let Watch do it.
func New(next auth.Authenticator, o Options) (*Authenticator, error) {
	if auth.ProofsOf(next)&auth.Tickets == 0 {
		return nil, ErrNoTickets
	}
	if o.ClockSkew <= 0 {
		o.ClockSkew = 5 * time.Minute
	}
	if o.Replays <= 0 {
		o.Replays = 100_000
	}
	a := &Authenticator{
		next: next, o: o, replays: newReplays(o.Replays, 2*o.ClockSkew), began: time.Now(), now: time.Now,
	}
	if err := a.open(); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *Authenticator) open() (err error) {
	kind := keytabs(a.o.Hostname)
	switch {
	case a.o.Keytab != "" && a.o.KeytabData != nil:
		return fmt.Errorf("%w: a file and its content are two", ErrKeytab)
	case a.o.KeytabData != nil:
		a.keys, err = kind.Read(bytes.NewReader(a.o.KeytabData))
		a.o.KeytabData = nil
	default:
		a.file, err = hotfile.Open(a.o.Keytab, kind)
	}
	if err != nil && !errors.Is(err, ErrKeytab) {
		err = fmt.Errorf("%w: %w", ErrKeytab, err)
	}
	return err
}

// Unwrap returns the Authenticator that decides.
func (a *Authenticator) Unwrap() auth.Authenticator { return a.next }

// Authenticate asks it.
func (a *Authenticator) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
	return a.next.Authenticate(ctx, c)
}

// Mechanisms returns GSSAPI, and what next brings itself. Nothing of GSSAPI
// lets a listener log in, so that it is offered without TLS too.
func (a *Authenticator) Mechanisms() []auth.MechanismKind {
	all := []auth.MechanismKind{{Name: "GSSAPI", Needs: auth.Tickets, Begin: func() auth.Mechanism { return &mechanism{server: a} }}}
	if more, ok := auth.As[auth.Mechanist](a.next); ok {
		all = append(all, more.Mechanisms()...)
	}
	return all
}

// Reload reads the keytab's file again. After an error, which names the file,
// the last good keys stay. Of KeytabData there is nothing to read.
func (a *Authenticator) Reload() error {
	if a.file == nil {
		return nil
	}
	return a.file.Reload()
}

// Watch looks at the keytab's file every so often, reads it again when it has
// changed, and logs what came of it. It returns when ctx ends. A nil logger is
// slog.Default.
func (a *Authenticator) Watch(ctx context.Context, every time.Duration, log *slog.Logger) {
	if a.file == nil {
		<-ctx.Done()
		return
	}
	a.file.Watch(ctx, every, log)
}

func (a *Authenticator) table() *keys {
	if a.file != nil {
		return a.file.Load()
	}
	return a.keys
}
