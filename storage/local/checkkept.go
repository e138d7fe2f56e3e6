package local

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/storage"
)

// countKept counts the retained messages of an account.
func (c *checker) countKept(ctx context.Context, id accountID) error {
	return c.snap.Scan(ctx, keptKey(id, 0), behind(keyKept, uint64(id)), func(_, _ []byte) error { c.kept++; return nil })
}

// retained checks the retained messages of all accounts: that they can be read,
// that the two kinds of keys agree, and that there is somebody whose they are.
func (c *checker) retained(ctx context.Context) error {
	last, err := c.lastRetained()
	if err != nil {
		return err
	}
	err = c.snap.Scan(ctx, []byte{keyLeft}, []byte{keyLeft + 1}, func(key, _ []byte) error {
		id, _ := number(key, 0)
		return c.countKept(ctx, accountID(id))
	})
	if err != nil {
		return err
	}
	n := 0
	err = c.snap.Scan(ctx, []byte{keyKept}, []byte{keyKept + 1}, func(key, v []byte) error {
		n++
		return c.oneKept(key, v, last)
	})
	if err != nil {
		return err
	}
	if n != c.kept {
		c.found("retained messages", "%d are of no account", n-c.kept)
	}
	if err := c.dues(ctx); err != nil {
		return err
	}
	return c.snap.Scan(ctx, []byte{keyDoomed}, []byte{keyDoomed + 1}, func(key, v []byte) error {
		id, _ := number(key, 0)
		d, err := parseDoomed(v)
		switch {
		case err != nil:
			c.found(fmt.Sprintf("deleted mailbox %d", id), "%v", err)
		case d.left > 0 && d.next+storage.RetainedID(d.left)-1 > last:
			c.found(fmt.Sprintf("deleted mailbox %d", id), "retains up to %d, and %d was given out last", d.next+storage.RetainedID(d.left)-1, last)
		}
		return nil
	})
}

// lastRetained is the number that was given out last.
func (c *checker) lastRetained() (storage.RetainedID, error) {
	v, ok, err := c.snap.Get([]byte{keyCounters})
	if err != nil || !ok {
		return 0, err
	}
	last, err := parseCounters(v)
	if err != nil {
		c.found("counters", "%v", err)
		return math.MaxUint64, nil
	}
	return last.retained, nil
}

func (c *checker) oneKept(key, v []byte, last storage.RetainedID) error {
	k, err := parseKept(key, v)
	if err != nil {
		account, _ := number(key, 0)
		id, _ := number(key, 8)
		c.found(fmt.Sprintf("account number %d retained message %d", account, id), "%v", err)
		return nil
	}
	if k.id > last {
		c.found(k.where(), "is beyond %d, which was given out last", last)
	}
	v, ok, err := c.snap.Get(dueKey(k.until, k.id))
	if err == nil && (!ok || len(v) != 8 || binary.BigEndian.Uint64(v) != uint64(k.account)) {
		c.found(k.where(), "is not listed by the time when it is over")
	}
	return err
}

func (k *kept) where() string {
	return fmt.Sprintf("account number %d retained message %d", k.account, k.id)
}

// dues checks that what is listed by time is there.
func (c *checker) dues(ctx context.Context) error {
	return c.snap.Scan(ctx, []byte{keyDue}, []byte{keyDue + 1}, func(key, v []byte) error {
		until, _ := number(key, 0)
		id, ok := number(key, 8)
		where := fmt.Sprintf("retained message %d until %d", id, until)
		if !ok || len(v) != 8 {
			c.found(where, "%v", ErrDamaged)
			return nil
		}
		mine := keptKey(accountID(binary.BigEndian.Uint64(v)), storage.RetainedID(id))
		found, ok, err := c.snap.Get(mine)
		if err != nil {
			return err
		}
		k, err := parseKept(mine, found)
		if !ok || err == nil && k.until != int64(until) {
			c.found(where, "is listed by the time when it is over and is not there")
		}
		return nil
	})
}

// keptReferences checks the references of retained messages to some bodies.
func (c *checker) keptReferences(ctx context.Context, from, to engine.BlobID, find func(engine.BlobID) *counted) error {
	return c.snap.Scan(ctx, []byte{keyKept}, []byte{keyKept + 1}, func(key, v []byte) error {
		k, err := parseKept(key, v)
		if err != nil || k.blob < from || k.blob > to || k.blob == 0 {
			return nil
		}
		return c.reference(k.where(), &k.record, find(k.blob))
	})
}
