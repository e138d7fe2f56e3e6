package apppassword

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/posthouse-mail/posthouse/auth/internal/userfile"
	"github.com/posthouse-mail/posthouse/directory"
)

// MaxPerUser is how many app passwords a user may have in a File.
const MaxPerUser = 50

// Errors of a File. Test with errors.Is.
var (
	ErrUnknown = errors.New("no such app password")
	ErrFull    = errors.New("too many app passwords")
	ErrLocked  = userfile.ErrLocked // of OpenFile: another process has it open
	ErrDamage  = userfile.ErrDamage // of OpenFile
)

// File is a Store in a file, with a Rule. Changes are durable when the methods
// return, and seen by the next login; each writes the whole file, so that it
// is for tens of thousands of users, not for more. It is safe for concurrent
// use. Users are named as in auth.Identity.
type File struct {
	file *userfile.File[record]

	mu   sync.Mutex
	used map[place]time.Time // since the file was written; one for each app password at most
}

// record is what a user has.
type record struct {
	Only      bool          `json:"only,omitempty"`
	Passwords []AppPassword `json:"passwords,omitempty"`
}

// place is where an app password is.
type place struct{ user, id string }

var _ Store = (*File)(nil)

// OpenFile opens a file and makes it when there is none. It is locked against
// other processes until Close. ErrLocked, ErrDamage.
func OpenFile(path string) (*File, error) {
	f, err := userfile.Open[record](path, "posthouse app passwords")
	if err != nil {
		return nil, err
	}
	return &File{file: f, used: make(map[place]time.Time)}, nil
}

// List returns a user's app passwords, the oldest first.
func (f *File) List(ctx context.Context, user string) ([]AppPassword, error) {
	r, err := f.file.Get(ctx, user)
	if err != nil {
		return nil, err
	}
	all := slices.Clone(r.Passwords)
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range all {
		if at, ok := f.used[place{user, all[i].ID}]; ok {
			all[i].LastUsed = at
		}
	}
	return all, nil
}

// Only reports whether a user is to use app passwords only. It is a Rule.
func (f *File) Only(ctx context.Context, user string) (bool, error) {
	r, err := f.file.Get(ctx, user)
	return r.Only, err
}

// SetOnly switches the rule of Only for a user.
func (f *File) SetOnly(ctx context.Context, user string, to directory.Switch) error {
	return f.change(ctx, user, func(r *record) error {
		r.Only = bool(to)
		return nil
	})
}

// Add keeps an app password that New made. ErrInvalid; ErrFull when the user
// has MaxPerUser.
func (f *File) Add(ctx context.Context, user string, p AppPassword) error {
	if err := p.check(); err != nil {
		return err
	}
	return f.change(ctx, user, func(r *record) error {
		if len(r.Passwords) >= MaxPerUser {
			return ErrFull
		}
		if slices.ContainsFunc(r.Passwords, func(o AppPassword) bool { return o.ID == p.ID }) {
			return ErrInvalid
		}
		r.Passwords = append(slices.Clone(r.Passwords), p)
		return nil
	})
}

// Remove takes an app password away. ErrUnknown.
func (f *File) Remove(ctx context.Context, user, id string) error {
	return f.change(ctx, user, func(r *record) error {
		left := slices.DeleteFunc(slices.Clone(r.Passwords), func(p AppPassword) bool { return p.ID == id })
		if len(left) == len(r.Passwords) {
			return ErrUnknown
		}
		r.Passwords = left
		return nil
	})
}

// RemoveUser takes everything of a user away, as when his account is removed.
// There may be nothing.
func (f *File) RemoveUser(ctx context.Context, user string) error {
	return f.change(ctx, user, func(r *record) error {
		*r = record{}
		return nil
	})
}

// Used notes when an app password was used, in memory. The time is written
// with the next change of any user, by Flush, and by Close. It is for
// Options.Used.
func (f *File) Used(user, id string, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.used[place{user, id}] = at.UTC().Truncate(time.Second)
}

// Flush writes when app passwords were last used, if any was.
func (f *File) Flush(ctx context.Context) error {
	return f.write(ctx, func(func(string) record) (map[string]*record, error) { return map[string]*record{}, nil })
}

// Close writes what Flush would and closes the file. A second Close does
// nothing.
func (f *File) Close() error {
	err := f.Flush(context.Background())
	if errors.Is(err, userfile.ErrClosed) {
		err = nil
	}
	return errors.Join(err, f.file.Close())
}

// change changes what one user has. alter must not change what the record
// refers to.
func (f *File) change(ctx context.Context, user string, alter func(r *record) error) error {
	return f.write(ctx, func(get func(string) record) (map[string]*record, error) {
		r := get(user)
		err := alter(&r)
		return map[string]*record{user: &r}, err
	})
}

// write makes changes, and takes the times of use with them.
func (f *File) write(ctx context.Context, decide func(get func(string) record) (map[string]*record, error)) error {
	var written map[place]time.Time
	err := f.file.Change(ctx, func(get func(string) record) (map[string]*record, error) {
		changes, err := decide(get)
		if err != nil {
			return nil, err
		}
		written = f.unwritten()
		for at, when := range written {
			note(changes, get, at, when)
		}
		for user, r := range changes {
			if !r.Only && len(r.Passwords) == 0 {
				changes[user] = nil
			}
		}
		return changes, nil
	})
	switch {
	case errors.Is(err, userfile.ErrFull):
		return ErrFull
	case err == nil:
		f.forget(written)
	}
	return err
}

// note writes when one app password was used, if it is still there.
func note(changes map[string]*record, get func(string) record, at place, when time.Time) {
	r := changes[at.user]
	if r == nil {
		old := get(at.user)
		r = &old
	}
	i := slices.IndexFunc(r.Passwords, func(p AppPassword) bool { return p.ID == at.id })
	if i < 0 {
		return
	}
	r.Passwords = slices.Clone(r.Passwords)
	r.Passwords[i].LastUsed = when
	changes[at.user] = r
}

// unwritten returns the times of use that are in memory alone.
func (f *File) unwritten() map[place]time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.used)
}

// forget forgets times that were written, unless there are later ones.
func (f *File) forget(written map[place]time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for at, when := range written {
		if f.used[at].Equal(when) {
			delete(f.used, at)
		}
	}
}
