package local

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/storage"
)

// retained checks the retained messages of all accounts: that they can be read,
// that the two kinds of keys agree, and that there is somebody whose they are.
func (c *checker) retained(ctx context.Context) error {
	var left []accountID // removed accounts, ascending
	err := c.snap.Scan(ctx, []byte{keyLeft}, []byte{keyLeft + 1}, func(k, _ []byte) error {
		n, ok := number(k, 0)
		if !ok || len(k) != 9 {
			return c.unknownKey(k)
		}
		left = append(left, accountID(n))
		return nil
	})
	if err != nil {
		return err
	}
	last := accountID(0)
	err = c.snap.Scan(ctx, []byte{keyKept}, []byte{keyKept + 1}, func(key, v []byte) error {
		n, _ := number(key, 0)
		if _, ok := number(key, 8); !ok || len(key) != 17 {
			return c.unknownKey(key)
		}
		id := accountID(n)
		_, here := slices.BinarySearch(c.known, id)
		if _, gone := slices.BinarySearch(left, id); !here && !gone && id != last {
			c.found(DamageStrayKept, subject{account: id}, fmt.Sprintf("account number %d", id), "has retained messages and is not there")
		}
		last = id
		return c.oneKept(key, v)
	})
	if err != nil {
		return err
	}
	return c.dues(ctx)
}

func (c *checker) oneKept(key, v []byte) error {
	k, err := parseKept(key, v)
	if err != nil {
		account, _ := number(key, 0)
		id, _ := number(key, 8)
		c.given.retained = max(c.given.retained, storage.RetainedID(id))
		c.found(DamageUnreadableKept, subject{key: string(key)}, fmt.Sprintf("account number %d retained message %d", account, id), "%v", err)
		return nil
	}
	c.given.retained = max(c.given.retained, k.id)
	v, ok, err := c.snap.Get(dueKey(k.until, k.id))
	if err == nil && (!ok || len(v) != 8 || binary.BigEndian.Uint64(v) != uint64(k.account)) {
		c.found(DamageUndatedKept, subject{key: string(key)}, k.String(), "is not listed by the time when it is over")
	}
	return err
}

func (k *kept) String() string {
	return fmt.Sprintf("account number %d retained message %d", k.account, k.id)
}

// dues checks that what is listed by time is there.
func (c *checker) dues(ctx context.Context) error {
	return c.snap.Scan(ctx, []byte{keyDue}, []byte{keyDue + 1}, func(key, v []byte) error {
		until, _ := number(key, 0)
		id, ok := number(key, 8)
		if !ok || len(key) != 17 {
			return c.unknownKey(key)
		}
		where, of := fmt.Sprintf("retained message %d until %d", id, until), subject{key: string(key)}
		if len(v) != 8 {
			c.found(DamageStrayDate, of, where, "%v", ErrDamaged)
			return nil
		}
		mine := keptKey(accountID(binary.BigEndian.Uint64(v)), storage.RetainedID(id))
		found, ok, err := c.snap.Get(mine)
		if err != nil {
			return err
		}
		k, err := parseKept(mine, found)
		if !ok || err == nil && k.until != int64(until) {
			c.found(DamageStrayDate, of, where, "is listed by the time when it is over and is not there")
		}
		return nil
	})
}

// doomedBox checks what is to become of a deleted mailbox's messages.
func (c *checker) doomedBox(id storage.MailboxID, v []byte) {
	d, err := parseDoomed(v)
	if err != nil {
		c.found(DamageUnreadableDoomed, subject{mailbox: id}, fmt.Sprintf("deleted mailbox %d", id), "%v", err)
	} else if d.left > 0 {
		c.given.retained = max(c.given.retained, d.next+storage.RetainedID(d.left)-1)
	}
}

// keptReferences checks the references of retained messages to some bodies.
func (c *checker) keptReferences(ctx context.Context, from, to engine.BlobID, find func(engine.BlobID) *counted) error {
	return c.snap.Scan(ctx, []byte{keyKept}, []byte{keyKept + 1}, func(key, v []byte) error {
		k, err := parseKept(key, v)
		if err != nil || k.blob < from || k.blob > to || k.blob == 0 {
			return nil
		}
		return c.reference(ctx, subject{key: string(key)}, &k, &k.record, find(k.blob))
	})
}
