package local

import (
	"context"
	"fmt"
	"slices"

	"github.com/posthouse-mail/posthouse/storage"
)

// notes checks all annotations.
func (c *checker) notes(ctx context.Context) error {
	err := c.notesOf(ctx, keyBoxNote, func(n uint64) (subject, string, bool) {
		id := storage.MailboxID(n)
		c.gave(id)
		return subject{mailbox: id}, fmt.Sprintf("mailbox %d", n), c.isThere(id)
	})
	if err != nil {
		return err
	}
	return c.notesOf(ctx, keyAccountNote, func(n uint64) (subject, string, bool) {
		id := accountID(n)
		c.given.account = max(c.given.account, id)
		_, ok := slices.BinarySearch(c.known, id)
		return subject{account: id}, fmt.Sprintf("account number %d", n), ok
	})
}

// notesOf checks the annotations of one kind. there tells of a number what it
// is of, and whether that is there.
func (c *checker) notesOf(ctx context.Context, kind byte, there func(n uint64) (of subject, where string, ok bool)) error {
	last := uint64(0)
	return c.snap.Scan(ctx, []byte{kind}, []byte{kind + 1}, func(k, v []byte) error {
		n, ok := number(k, 0)
		if !ok {
			return c.unknownKey(k)
		}
		of, where, ok := there(n)
		if !ok {
			if n != last {
				of.key = string(numberKey(kind, n))
				c.found(DamageStray, of, where, "has annotations and is not there")
			}
			last = n
			return nil
		}
		user, name, ok := parseNoteKey(k)
		if !ok {
			return c.unknownKey(k)
		}
		if _, err := parseNote(v); err != nil {
			c.found(DamageBadAnnotation, subject{key: string(k)}, where, "annotation %q of %q: %v", name, user, err)
		}
		return nil
	})
}
