package totp

import (
	"context"
	"fmt"
	"slices"

	"github.com/posthouse-mail/posthouse/auth/internal/userfile"
)

// Errors of OpenFile. Test with errors.Is.
var (
	ErrLocked = userfile.ErrLocked // another process has it open
	ErrDamage = userfile.ErrDamage
)

// File is a Store in a file, which holds the keys as they are and is for
// nobody else to read. Changes are durable when the methods return, and seen
// by the next login; each writes the whole file, so that it is for tens of
// thousands of users, not for more. It is safe for concurrent use. Users are
// named as in auth.Identity.
type File struct {
	file *userfile.File[Factor]
}

var _ Store = (*File)(nil)

// OpenFile opens a file and makes it when there is none. It is locked against
// other processes until Close. ErrLocked, ErrDamage.
func OpenFile(path string) (*File, error) {
	f, err := userfile.Open[Factor](path, "posthouse second factors")
	if err != nil {
		return nil, err
	}
	return &File{f}, nil
}

// Close closes the file. A second Close does nothing.
func (f *File) Close() error { return f.file.Close() }

// Factor returns what a user has.
func (f *File) Factor(ctx context.Context, user string) (Factor, error) { return f.file.Get(ctx, user) }

// SetUp gives a user a key and recovery codes, in place of any before. Let him
// show a code first (Key.Verify), or he may have locked himself out. ErrKey.
func (f *File) SetUp(ctx context.Context, user string, k Key, recovery []string) error {
	if err := k.Check(); err != nil {
		return err
	}
	if len(recovery) > recoveryCodes {
		return fmt.Errorf("%w: at most %d recovery codes", ErrKey, recoveryCodes)
	}
	k.Secret, recovery = slices.Clone(k.Secret), slices.Clone(recovery)
	return f.change(ctx, user, func(f *Factor) { f.Key, f.Recovery = &k, recovery })
}

// TakeDown takes key and recovery codes of a user away; his policy stays.
func (f *File) TakeDown(ctx context.Context, user string) error {
	return f.change(ctx, user, func(f *Factor) { f.Key, f.Recovery = nil, nil })
}

// SetPolicy says whether a user needs a second factor.
func (f *File) SetPolicy(ctx context.Context, user string, p Policy) error {
	return f.change(ctx, user, func(f *Factor) { f.Policy = p })
}

// RemoveUser takes everything of a user away, as when his account is removed.
// There may be nothing.
func (f *File) RemoveUser(ctx context.Context, user string) error {
	return f.change(ctx, user, func(f *Factor) { *f = Factor{} })
}

// Spend takes a recovery code away.
func (f *File) Spend(ctx context.Context, user, hash string) (bool, error) {
	there := false
	err := f.change(ctx, user, func(f *Factor) {
		left := slices.DeleteFunc(slices.Clone(f.Recovery), func(h string) bool { return h == hash })
		there = len(left) < len(f.Recovery)
		f.Recovery = left
	})
	return there && err == nil, err
}

// change changes what one user has. alter must not change what the Factor
// refers to.
func (f *File) change(ctx context.Context, user string, alter func(f *Factor)) error {
	return f.file.Change(ctx, func(get func(string) Factor) (map[string]*Factor, error) {
		factor := get(user)
		alter(&factor)
		if factor.Policy == Inherit && factor.Key == nil {
			return map[string]*Factor{user: nil}, nil
		}
		return map[string]*Factor{user: &factor}, nil
	})
}
