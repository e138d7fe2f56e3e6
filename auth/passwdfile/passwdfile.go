// Package passwdfile authenticates against a file of names and passwords:
// lines like those of passwd(5), of Apache's htpasswd, or of Dovecot's
// passwd-file.
//
// Invariants of this package:
//
//   - A file with a bad line is never used: the last good one stays.
//   - A restriction of a line is honoured, or the line is a bad one.
//   - Somebody who is not in the file, one who is locked and a wrong password
//     take the same time, as far as the passwords of a file are stored alike.
package passwdfile

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/hotfile"
)

// Options say how a file is understood. The zero value allows no weak schemes
// and no clear text, and takes names as they are.
type Options struct {
	Verifier auth.Verifier // which stored passwords are allowed; a line with another is a bad one
	Domain   string        // appended to names and logins without "@"; empty: nothing is
}

// File is an Authenticator over a password file, see ReadTable for its lines.
// It can be read again while it is in use, and looks names up without a lock.
// It has the powers auth.Namer, auth.Prover and auth.SecretSource.
type File struct {
	file *hotfile.File[Table]
}

var (
	_ auth.Authenticator = (*File)(nil)
	_ auth.Namer         = (*File)(nil)
	_ auth.Prover        = (*File)(nil)
	_ auth.SecretSource  = (*File)(nil)
)

// Open reads a password file. It starts nothing: call Reload when the file has
// changed, or let Watch do it. A password that was changed in the file is good
// as soon as it was read, and behind an auth.Cache the old one for its TTL.
func Open(path string, o Options) (*File, error) {
	f, err := hotfile.Open(path, hotfile.Kind[Table]{Name: "password file", Read: o.read, Size: (*Table).Len})
	if err != nil {
		return nil, err
	}
	return &File{f}, nil
}

// Table returns what was last read without an error.
func (f *File) Table() *Table { return f.file.Load() }

// Reload reads the file again. After an error, which names the file and the
// bad lines (LineError), the last good content stays in use.
func (f *File) Reload() error { return f.file.Reload() }

// Watch looks at the file every so often, reads it again when it has changed,
// and logs what came of it: each bad state of the file once. It returns when
// ctx ends. A nil logger is slog.Default.
func (f *File) Watch(ctx context.Context, every time.Duration, log *slog.Logger) {
	f.file.Watch(ctx, every, log)
}

// Authenticate asks the last good content.
func (f *File) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
	return f.Table().Authenticate(ctx, c)
}

// AccountName asks the last good content.
func (f *File) AccountName(ctx context.Context, login string) (string, error) {
	return f.Table().AccountName(ctx, login)
}

// Proofs asks the last good content.
func (f *File) Proofs() auth.Kinds { return f.Table().Proofs() }

// Secret asks the last good content.
func (f *File) Secret(ctx context.Context, user, scheme string) (auth.Secret, error) {
	return f.Table().Secret(ctx, user, scheme)
}

// entry is a line of a file.
type entry struct {
	account string         // Identity.User
	stored  string         // the password; empty: locked
	nets    []netip.Prefix // where he may come from; nil: anywhere
	flags   flags
}

// flags are what else a line says.
type flags uint8

const noLogin flags = 1 << iota

// fullName returns the one form of a name or a login.
func (o Options) fullName(login string) string {
	name := auth.NormalName(login)
	if o.Domain == "" || name == "" || strings.Contains(name, "@") {
		return name
	}
	return auth.NormalName(name + "@" + o.Domain)
}

// mayComeFrom reports whether an entry lets a client of that address in. Who
// may come from some networks only may not come from an unknown address.
func (e *entry) mayComeFrom(a netip.Addr) bool {
	if e.nets == nil {
		return true
	}
	a = a.Unmap().WithZone("")
	for _, net := range e.nets {
		if a.IsValid() && net.Contains(a) {
			return true
		}
	}
	return false
}

func unavailable(err error) error { return fmt.Errorf("%w: %w", auth.ErrUnavailable, err) }
