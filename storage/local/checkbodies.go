package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// checkWindow is of how many bodies the references are counted at a time, 32
// octets each. For each window all records are read once.
const checkWindow = 1 << 20

// reference is a body with how often somebody refers to it.
type reference struct {
	id engine.BlobID
	n  int
}

// collect returns the references of others, sorted.
func collect(at *engine.Snapshot, others []References) (list []reference, err error) {
	for _, o := range others {
		err := o(at, func(b engine.BlobID, n int) error {
			list = append(list, reference{b, n})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(list, func(a, b reference) int { return cmp.Compare(a.id, b.id) })
	n := 0
	for _, r := range list {
		if n > 0 && list[n-1].id == r.id {
			list[n-1].n += r.n
			continue
		}
		list[n] = r
		n++
	}
	return list[:n], nil
}

// counted is a body and what is known of its references.
type counted struct {
	id   engine.BlobID
	size int64
	refs int // as it counts them
	left int // references that were not found yet
}

// bodies compares reference counts with references.
func (c *checker) bodies(ctx context.Context) error {
	c.stage("bodies", 0)
	from := engine.BlobID(1)
	window := make([]counted, 0, 1024)
	flush := func(to engine.BlobID) error {
		err := c.window(ctx, from, to, window)
		from, window = to+1, window[:0]
		return err
	}
	err := c.snap.Bodies(ctx, func(id engine.BlobID, size int64, refs int) error {
		c.sum.Bodies++
		c.done(1)
		window = append(window, counted{id, size, refs, refs})
		if len(window) < checkWindow {
			return nil
		}
		return flush(id)
	})
	if err != nil {
		return err
	}
	return flush(math.MaxUint64)
}

// window counts the references to the bodies from one ID to another.
func (c *checker) window(ctx context.Context, from, to engine.BlobID, list []counted) error {
	find := func(id engine.BlobID) *counted {
		at, ok := slices.BinarySearchFunc(list, id, func(x counted, id engine.BlobID) int { return cmp.Compare(x.id, id) })
		if !ok {
			return nil
		}
		return &list[at]
	}
	owner := storage.MailboxID(0)
	err := c.snap.Scan(ctx, []byte{keyMessage}, []byte{keyMessage + 1}, func(k, v []byte) error {
		c.done(0)
		n, ok := number(k, 0)
		first := from == 1
		if !ok || len(k) != 13 {
			if first {
				return c.unknownKey(k)
			}
			return nil
		}
		if id := storage.MailboxID(n); first && id != owner {
			owner = id
			c.owner(id)
		}
		m, err := parseMessage(k, v)
		if err != nil && first {
			c.unreadable(storage.MailboxID(n), k)
		}
		if err != nil || m.blob < from || m.blob > to || m.blob == 0 {
			return nil
		}
		of := subject{mailbox: storage.MailboxID(n), uid: m.uid}
		return c.reference(ctx, of, of, &m, find(m.blob))
	})
	if err == nil {
		err = c.keptReferences(ctx, from, to, find)
	}
	if err == nil {
		err = c.arrivedReferences(ctx, from, to, find)
	}
	if err != nil {
		return err
	}
	c.outside(from, to, find)
	for _, b := range list {
		of := subject{blob: b.id, size: b.size, n: b.left}
		where := fmt.Sprintf("body %x", uint64(b.id))
		switch {
		case b.left == b.refs:
			c.found(DamageUnclaimedBody, of, where, "has %d octets, counts %d references more than there are, and nobody refers to it", b.size, b.left)
		case b.left != 0:
			c.found(DamageRefcount, of, where, "counts %d references more than there are", b.left)
		}
	}
	return nil
}

// outside counts the references of others from one ID to another.
func (c *checker) outside(from, to engine.BlobID, find func(engine.BlobID) *counted) {
	at, _ := slices.BinarySearchFunc(c.others, from, func(r reference, id engine.BlobID) int { return cmp.Compare(r.id, id) })
	for _, r := range c.others[at:] {
		if r.id > to {
			break
		}
		if b := find(r.id); b != nil {
			b.left -= r.n
		} else { // who refers to it reports it, too, and repairs it
			c.found(DamageMissingBody, subject{}, fmt.Sprintf("body %x", uint64(r.id)), "is referred to from outside of the store and is not there")
		}
	}
}

// owner checks that the mailbox of a record is there, or is being cleared away.
func (c *checker) owner(id storage.MailboxID) {
	c.gave(id)
	if !c.isThere(id) {
		c.found(DamageOrphans, subject{mailbox: id}, fmt.Sprintf("mailbox %d", id), "has messages and is not there")
	}
}

// unreadable reports a record of a mailbox that no survey looks at, because it
// is being cleared away.
func (c *checker) unreadable(id storage.MailboxID, key []byte) {
	if _, ok := slices.BinarySearch(c.doomed, id); ok {
		uid, _ := tail32(key)
		c.found(DamageUnreadableRecord, subject{mailbox: id, uid: uid}, fmt.Sprintf("mailbox %d, which is being cleared away", id), "message %d: %v", uid, ErrDamaged)
	}
}

// reference checks a record's reference to a body.
func (c *checker) reference(ctx context.Context, of subject, at fmt.Stringer, m *record, b *counted) error {
	switch {
	case b == nil:
		c.found(DamageMissingBody, of, at.String(), "its body %x is not there", uint64(m.blob))
		return nil
	case m.offset+m.bodySize() > b.size:
		of.size = b.size
		c.found(DamageShortBody, of, at.String(), "its body %x has %d octets, and should have %d at %d", uint64(m.blob), b.size, m.bodySize(), m.offset)
	}
	b.left--
	if !c.damaged {
		return nil
	}
	body, err := c.s.e.Open(m.blob)
	if errors.Is(err, engine.ErrNoBlob) { // expunged since the check began
		return nil
	}
	if err == nil {
		_, err = io.Copy(io.Discard, io.NewSectionReader(message.NewReader(body), m.offset, m.bodySize()))
		body.Close()
	}
	if errors.Is(err, engine.ErrDamaged) {
		c.found(DamageDamagedBody, of, at.String(), "%v", err)
		return ctx.Err()
	}
	return cmp.Or(err, ctx.Err())
}
