// Package userfile keeps something small for each of some users in one file,
// as app passwords and second factors are.
//
// Invariants of this package:
//
//   - The file is JSON, one line for each user after a line that tells the
//     format and how many there are. A change writes all of it beside the old
//     file, syncs it and renames it over the old one: all of a change is there
//     or nothing of it, and what was acknowledged is synced.
//   - Lookups are answered from memory and never wait for the disk.
//   - After a change of which nobody knows whether it is durable, changes are
//     refused and lookups go on.
//
// A change costs as much as the whole file, which is why it is for what
// changes seldom: of 10,000 users some tens of milliseconds.
package userfile

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"sync"
	"unicode/utf8"
)

// Bounds of a file.
const (
	maxUsers = 100_000
	maxLine  = 64 << 10 // octets
)

// version is what the first line says.
const version = 1

// Errors. Test with errors.Is.
var (
	ErrLocked = errors.New("file is in use by another process")
	ErrFull   = errors.New("file is full")
	ErrDamage = errors.New("file is damaged")
	ErrClosed = errors.New("file is closed")
	ErrUser   = errors.New("a user has a name, and it is text")
)

// File is an open file of values T. It is safe for concurrent use. What it
// returns is shared: nobody may change what a value refers to.
type File[T any] struct {
	disk   disk
	path   string
	format string
	lock   io.Closer

	edit sync.Mutex // held for the whole of a change
	err  error      // of a change that may be durable or not

	mu   sync.RWMutex
	all  map[string]T
	shut bool
}

type header struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	Users   int    `json:"users"`
}

type line[T any] struct {
	User  string `json:"user"`
	Value T      `json:"value"`
}

// Open opens a file of a format and makes it when there is none. It is locked
// against other processes until Close. ErrLocked, ErrDamage.
func Open[T any](path, format string) (*File[T], error) {
	return open[T](disk{}, path, format)
}

func open[T any](d disk, path, format string) (*File[T], error) {
	lock, err := d.lock(path + ".lock")
	if err != nil {
		return nil, err
	}
	f := &File[T]{disk: d, path: path, format: format, lock: lock}
	if err := f.read(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), lock.Close())
	}
	return f, nil
}

func (f *File[T]) read() error {
	in, err := os.Open(f.path)
	if errors.Is(err, os.ErrNotExist) {
		f.all = make(map[string]T)
		return f.write(f.all)
	}
	if err != nil {
		return err
	}
	defer in.Close()
	f.all, err = decode[T](in, f.format)
	return err
}

// decode reads a whole file. ErrDamage tells the line, and nothing of what is
// in it.
func decode[T any](in io.Reader, format string) (map[string]T, error) {
	s := bufio.NewScanner(in)
	s.Buffer(nil, maxLine)
	var head header
	all := make(map[string]T)
	n := 0
	for ; s.Scan(); n++ {
		if n == 0 {
			if strict(s.Bytes(), &head) != nil || head.Format != format || head.Version != version {
				return nil, fmt.Errorf("%w: not a file of %s", ErrDamage, format)
			}
			continue
		}
		var l line[T]
		err := strict(s.Bytes(), &l)
		if _, twice := all[l.User]; err != nil || l.User == "" || twice {
			return nil, fmt.Errorf("%w: line %d", ErrDamage, n+1)
		}
		all[l.User] = l.Value
	}
	switch {
	case errors.Is(s.Err(), bufio.ErrTooLong):
		return nil, fmt.Errorf("%w: line %d is too long", ErrDamage, n+1)
	case s.Err() != nil:
		return nil, s.Err()
	case n == 0 || head.Users != len(all):
		return nil, fmt.Errorf("%w: it is not whole", ErrDamage)
	}
	return all, nil
}

func strict(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return ErrDamage
	}
	return nil
}

// encode writes what decode reads, users in order.
func encode[T any](format string, all map[string]T) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	if err := e.Encode(header{format, version, len(all)}); err != nil {
		return nil, err
	}
	for _, user := range slices.Sorted(maps.Keys(all)) {
		before := out.Len()
		if err := e.Encode(line[T]{user, all[user]}); err != nil {
			return nil, err
		}
		if out.Len()-before >= maxLine {
			return nil, ErrFull
		}
	}
	return out.Bytes(), nil
}

// Get returns the value of a user; the zero T when there is none.
func (f *File[T]) Get(ctx context.Context, user string) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.shut {
		return none, ErrClosed
	}
	return f.all[user], nil
}

// Change lets a function decide about new values, by those that are there, and
// returns when they are durable. A nil value removes a user. ErrFull, ErrUser,
// or the function's error.
func (f *File[T]) Change(ctx context.Context, decide func(get func(user string) T) (map[string]*T, error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.edit.Lock()
	defer f.edit.Unlock()
	switch {
	case f.closed():
		return ErrClosed
	case f.err != nil:
		return f.err
	}
	changes, err := decide(func(user string) T { return f.all[user] }) // only a change writes to all, and this is the only one
	if err != nil || len(changes) == 0 {
		return err
	}
	next := maps.Clone(f.all)
	for user, value := range changes {
		if user == "" || !utf8.ValidString(user) { // could not be read again
			return ErrUser
		}
		if value == nil {
			delete(next, user)
		} else {
			next[user] = *value
		}
	}
	if len(next) > maxUsers {
		return ErrFull
	}
	if err := f.write(next); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = next
	return nil
}

// write replaces the file.
func (f *File[T]) write(all map[string]T) error {
	text, err := encode(f.format, all)
	if err != nil {
		return err
	}
	replaced, err := f.disk.replace(f.path, text)
	if err != nil && replaced {
		f.err = fmt.Errorf("no changes after a failed sync: %w", err)
	}
	return err
}

func (f *File[T]) closed() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.shut
}

// Close unlocks the file. Lookups and changes are ErrClosed afterwards. A
// second Close does nothing.
func (f *File[T]) Close() error {
	f.edit.Lock()
	defer f.edit.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shut {
		return nil
	}
	f.shut = true
	return f.lock.Close()
}
