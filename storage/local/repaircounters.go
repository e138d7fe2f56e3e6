package local

import (
	"context"
	"encoding/binary"

	"github.com/posthouse-mail/posthouse/storage"
)

// fixCounters sets what was given out last beyond all that is in use.
func (r *repairer) fixCounters(ctx context.Context, _ []Damage) error {
	return r.commit(ctx, func(t tx) error {
		used, err := usedCounters(t.Tx)
		if err != nil {
			return err
		}
		c := &t.s.counters
		c.account, c.mailbox = max(c.account, used.account), max(c.mailbox, used.mailbox)
		c.validity, c.retained = max(c.validity, used.validity), max(c.retained, used.retained)
		t.saveCounters()
		return nil
	})
}

// usedCounters returns the highest numbers that are in use.
func usedCounters(r reading) (c counters, err error) {
	each := func(kind byte, f func(n uint64, v []byte)) {
		if err == nil {
			err = r.Scan([]byte{kind}, []byte{kind + 1}, func(k, v []byte) error {
				if n, ok := number(k, 0); ok {
					f(n, v)
				}
				return nil
			})
		}
	}
	err = r.Scan([]byte{keyAccount}, []byte{keyAccount + 1}, func(_, v []byte) error {
		if rec, err := parseAccount(v); err == nil {
			c.account, c.validity = max(c.account, rec.id), max(c.validity, rec.validity)
		}
		return nil
	})
	each(keyName, func(n uint64, v []byte) {
		c.account = max(c.account, accountID(n))
		if b, err := parseBox(v); err == nil {
			c.mailbox = max(c.mailbox, b.id)
		}
	})
	each(keyState, func(n uint64, v []byte) {
		c.mailbox = max(c.mailbox, storage.MailboxID(n))
		st, _ := parseState(v)
		c.validity, c.account = max(c.validity, st.validity), max(c.account, st.account)
	})
	each(keyDoomed, func(_ uint64, v []byte) {
		if d, err := parseDoomed(v); err == nil && d.left > 0 {
			c.retained = max(c.retained, d.next+storage.RetainedID(d.left)-1)
		}
	})
	for _, kind := range [...]byte{keyMessage, keyPage, keyExpunged, keyDoomed, keyBoxNote} {
		each(kind, func(n uint64, _ []byte) { c.mailbox = max(c.mailbox, storage.MailboxID(n)) })
	}
	if err == nil {
		err = r.Scan([]byte{keyKept}, []byte{keyKept + 1}, func(k, _ []byte) error {
			id, _ := number(k, 8)
			c.retained = max(c.retained, storage.RetainedID(id))
			return nil
		})
	}
	for _, kind := range [...]byte{keySubscription, keyAccountNote} {
		each(kind, func(n uint64, _ []byte) { c.account = max(c.account, accountID(n)) })
	}
	each(keyValidity, func(n uint64, v []byte) {
		c.account = max(c.account, accountID(n))
		if len(v) == 4 {
			c.validity = max(c.validity, binary.BigEndian.Uint32(v))
		}
	})
	return c, err
}

// skipped is how many numbers of mailboxes and accounts are passed over when
// nobody knows any more which were given out.
const skipped = 1 << 20

// lostCounters is what a store goes on from that does not know what it gave out
// last: beyond all that is in use, and beyond what it would be by the time.
func lostCounters(r reading) (counters, error) {
	c, err := usedCounters(r)
	c.account += skipped
	c.mailbox += skipped
	c.retained += skipped
	c.validity = max(c.validity, firstValidity())
	return c, err
}

// fixHeld lets it be added up anew what accounts hold.
func (r *repairer) fixHeld(context.Context, []Damage) error {
	r.s.held.forget()
	return nil
}

// forget forgets all accounts that no change waits for.
func (h *held) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.entries {
		if e.pins == 0 {
			h.drop(e)
		}
	}
}
