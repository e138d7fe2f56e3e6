// Package embedded is a directory of domains, accounts and aliases that needs
// nothing but a file.
//
// Invariants of this package:
//
//   - The file is a journal: one line of JSON for each change, with a checksum,
//     synced before the change is seen or acknowledged. A line that was torn by
//     a crash was never acknowledged and is cut when the file is opened;
//     damage anywhere else is an error that names the line.
//   - When most of the journal is history it is written anew beside the old
//     one, synced, and renamed over it.
//   - All lookups are answered from memory and never wait for the disk.
//   - After a write or sync that failed for good, changes are refused and
//     lookups go on.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/mail"
)

// Directory is a directory in a file. It has the powers directory.Accounts
// and directory.Editor, and is safe for concurrent use.
type Directory struct {
	edit    sync.Mutex // held for the whole of a change
	journal *journal
	lock    io.Closer

	mu    sync.RWMutex // held while names changes
	names *names
	shut  bool
}

var (
	_ directory.Directory = (*Directory)(nil)
	_ directory.Editor    = (*Directory)(nil)
	_ directory.Hoster    = (*Directory)(nil)
)

// ErrLocked is the error of Open when another process has the directory open.
var ErrLocked = errors.New("directory is in use by another process")

// errClosed is why a closed Directory is not available.
var errClosed = fmt.Errorf("%w: it is closed", directory.ErrUnavailable)

// Open opens the directory in the file path and makes it when there is none.
// It is locked against other processes until Close. Damage is a
// *DamageError.
func Open(path string) (*Directory, error) {
	return open(osDisk{}, path)
}

func open(d disk, path string) (*Directory, error) {
	lock, err := d.lock(path + ".lock")
	if err != nil {
		return nil, err
	}
	n := newNames()
	j, err := openJournal(d, path, n.apply)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	n.findFirst()
	return &Directory{journal: j, lock: lock, names: n}, nil
}

// Close closes the file. Lookups and changes are refused afterwards with
// directory.ErrUnavailable. A second Close does nothing.
func (d *Directory) Close() error {
	d.edit.Lock()
	defer d.edit.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shut {
		return nil
	}
	d.shut = true
	return errors.Join(d.journal.close(), d.lock.Close())
}

// look runs a lookup.
func look[T any](ctx context.Context, d *Directory, f func(n *names) (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.shut {
		return none, errClosed
	}
	return f(d.names)
}

// Local reports whether a domain is one of this directory.
func (d *Directory) Local(ctx context.Context, domain string) (bool, error) {
	return look(ctx, d, func(n *names) (bool, error) { return n.local(mail.DomainKey(domain)), nil })
}

// Resolve returns who gets the mail of an address.
func (d *Directory) Resolve(ctx context.Context, a mail.Address) ([]directory.Recipient, error) {
	return look(ctx, d, func(n *names) ([]directory.Recipient, error) { return n.resolve(a) })
}

// Account returns the account that somebody logs in to.
func (d *Directory) Account(ctx context.Context, login string) (directory.Account, error) {
	return look(ctx, d, func(n *names) (directory.Account, error) { return n.login(login) })
}

// Domains returns the local domains, the primary one first.
func (d *Directory) Domains(ctx context.Context) ([]string, error) {
	return look(ctx, d, func(n *names) ([]string, error) { return append([]string(nil), n.domains...), nil })
}

// List yields the accounts that were there when it began, by name.
func (d *Directory) List(ctx context.Context) iter.Seq2[directory.Account, error] {
	return each(ctx, d, func(n *names) ([]string, error) { return sortedKeys(n.accounts), nil }, (*names).account)
}

// each yields what get returns for each of the names that were there when it
// began, but for those that were removed meanwhile.
func each[T any](ctx context.Context, d *Directory, list func(*names) ([]string, error), get func(*names, string) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		all, err := look(ctx, d, list)
		if err != nil {
			yield(none, err)
			return
		}
		for _, name := range all {
			v, err := look(ctx, d, func(n *names) (T, error) { return get(n, name) })
			if errors.Is(err, directory.ErrUnknown) {
				continue
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}
