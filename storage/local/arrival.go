package local

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/storage"
)

// arrival is an account of which bodies have arrived from another store, and
// which is not here yet. Each body has a reference that its keyArrived holds,
// so an Unpack that was interrupted goes on where it was.
type arrival struct {
	listed accountID // the number that its bodies are listed under; no account has it
	archiveState
}

func (a *arrival) append(b []byte) []byte {
	b = binary.AppendUvarint(append(b, version), uint64(a.listed))
	return binary.AppendUvarint(appendBytes(b, a.source), uint64(a.upto))
}

func parseArrival(b []byte) (a arrival, err error) {
	r := newReader(b)
	a.listed = accountID(r.number())
	a.source = string(r.bytes())
	a.upto = engine.BlobID(r.number())
	return a, r.end()
}

// parseArrived reads which body here is the one that has arrived.
func parseArrived(b []byte) (engine.BlobID, error) {
	r := newReader(b)
	id := engine.BlobID(r.number())
	return id, r.end()
}

func appendArrived(b []byte, here engine.BlobID) []byte {
	return binary.AppendUvarint(append(b, version), uint64(here))
}

func getArrival(g getter, user string) (a arrival, ok bool, err error) {
	b, ok, err := g.Get(arrivalKey(user))
	if err != nil || !ok {
		return a, false, failure(err)
	}
	if a, err = parseArrival(b); err != nil {
		return a, false, fmt.Errorf("arrival of %q: %w", user, err)
	}
	return a, true, nil
}

// Arrived returns how much of a user's account has arrived by Unpack, for the
// Since of the next Pack; empty when nothing has, or when the account is there.
func (s *Store) Arrived(ctx context.Context, user string) (state string, err error) {
	if err := s.ready(ctx); err != nil {
		return "", err
	}
	a, ok, err := getArrival(s.e, user)
	if err != nil || !ok {
		return "", err
	}
	return a.String(), nil
}

// ForgetArrived gives up what has arrived of an account that is not there yet.
// That nothing has is no error.
func (s *Store) ForgetArrived(ctx context.Context, user string) error {
	if !s.arriving.enter(user) {
		return fmt.Errorf("%w: it is being unpacked", ErrBusy)
	}
	defer s.arriving.leave(user)
	err := s.commit(ctx, nil, func(t tx) error {
		_, ok, err := t.Get(arrivalKey(user))
		if err != nil || !ok {
			return cmp.Or(err, errNothing)
		}
		t.Delete(arrivalKey(user))
		return nil
	})
	s.purger.wake()
	return err
}

// arriving is what is being unpacked now. The mailboxes and the account look as
// if they had been deleted, so that nothing is left of an Unpack that a crash
// interrupts; this keeps the purger from clearing them away before.
type arriving struct {
	mu       sync.Mutex
	users    map[string]bool
	boxes    map[storage.MailboxID]bool
	accounts map[accountID]bool
}

// enter returns false when the user's account is being unpacked already.
func (a *arriving) enter(user string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.users == nil {
		a.users, a.boxes, a.accounts = make(map[string]bool), make(map[storage.MailboxID]bool), make(map[accountID]bool)
	}
	if a.users[user] {
		return false
	}
	a.users[user] = true
	return true
}

func (a *arriving) leave(user string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.users, user)
}

// keep says that an account arrives.
func (a *arriving) keep(n accountID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.accounts[n] = true
}

// claim says that a mailbox arrives. It returns false when it did already.
func (a *arriving) claim(id storage.MailboxID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.boxes[id] {
		return false
	}
	a.boxes[id] = true
	return true
}

// release says that they have come, or do not come.
func (a *arriving) release(c *coming) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.accounts, c.rec.id)
	for _, b := range c.boxes {
		delete(a.boxes, b.id)
	}
}

func (a *arriving) hasBox(id storage.MailboxID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.boxes[id]
}

func (a *arriving) hasAccount(n accountID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.accounts[n]
}

// arrivals takes back the references to bodies that have arrived, of accounts
// that are here now or do not come any more.
func (p *purger) arrivals(ctx context.Context) error {
	snap := p.s.e.Snapshot() // one moment, so that none looks given up that begins just now
	defer snap.Close()
	live := make(map[accountID]bool)
	err := snap.Scan(ctx, []byte{keyArrival}, []byte{keyArrival + 1}, func(_, v []byte) error {
		if a, err := parseArrival(v); err == nil { // else a check tells of it
			live[a.listed] = true
		}
		return nil
	})
	for from := []byte{keyArrived}; err == nil; {
		var gone [][]byte
		err = snap.Scan(ctx, from, []byte{keyArrived + 1}, func(k, _ []byte) error {
			n, ok := number(k, 0)
			if !ok || live[accountID(n)] {
				from = behind(keyArrived, n)
				return errEnough
			}
			gone = append(gone, append([]byte(nil), k...))
			from = append(append([]byte(nil), k...), 0)
			if len(gone) == purgeBatch {
				return errEnough
			}
			return nil
		})
		last := err == nil
		if errors.Is(err, errEnough) {
			err = nil
		}
		if err == nil && len(gone) > 0 {
			err = p.commit(ctx, func(t tx) error { return t.unarrive(gone) })
		}
		if last {
			break
		}
	}
	return err
}

// unarrive takes back the references of some keys.
func (t tx) unarrive(keys [][]byte) error {
	for _, k := range keys {
		v, ok, err := t.Get(k)
		if err != nil {
			return err
		}
		if id, err := parseArrived(v); ok && err == nil && id != 0 {
			t.Ref(id, -1)
		}
		t.Delete(k)
	}
	return nil
}
