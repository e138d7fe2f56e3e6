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

// checkWindow is of how many bodies the references are counted at a time, 24
// octets each. For each window all records are read once.
const checkWindow = 1 << 20

// reference is a body with how often somebody refers to it.
type reference struct {
	id engine.BlobID
	n  int
}

// collect returns the references of others, sorted.
func collect(others []References) (list []reference, err error) {
	for _, o := range others {
		err := o(func(b engine.BlobID, n int) error {
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

// differing returns the bodies that are not the same in both lists.
func differing(a, b []reference) map[engine.BlobID]bool {
	d := make(map[engine.BlobID]bool)
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].id < b[0].id:
			d[a[0].id] = true
			a = a[1:]
		case len(a) == 0 || b[0].id < a[0].id:
			d[b[0].id] = true
			b = b[1:]
		default:
			if a[0] != b[0] {
				d[a[0].id] = true
			}
			a, b = a[1:], b[1:]
		}
	}
	return d
}

// counted is a body and what is known of its references.
type counted struct {
	id   engine.BlobID
	size int64
	left int // references that were not found yet
}

// bodies compares reference counts with references.
func (c *checker) bodies(ctx context.Context) error {
	from := engine.BlobID(1)
	window := make([]counted, 0, 1024)
	flush := func(to engine.BlobID) error {
		err := c.window(ctx, from, to, window)
		from, window = to+1, window[:0]
		return err
	}
	err := c.snap.Bodies(ctx, func(id engine.BlobID, size int64, refs int) error {
		window = append(window, counted{id, size, refs})
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
	first := from == 1
	find := func(id engine.BlobID) *counted {
		at, ok := slices.BinarySearchFunc(list, id, func(x counted, id engine.BlobID) int { return cmp.Compare(x.id, id) })
		if !ok {
			return nil
		}
		return &list[at]
	}
	owner := storage.MailboxID(0)
	err := c.snap.Scan(ctx, []byte{keyMessage}, []byte{keyMessage + 1}, func(k, v []byte) error {
		n, _ := number(k, 0)
		if id := storage.MailboxID(n); first && id != owner {
			owner = id
			if err := c.owner(id); err != nil {
				return err
			}
		}
		m, err := parseMessage(k, v)
		if err != nil || m.blob < from || m.blob > to || m.blob == 0 {
			return nil // records that can't be read were reported with their mailbox
		}
		return c.reference(fmt.Sprintf("mailbox %d message %d", owner, m.uid), &m, find(m.blob))
	})
	if err == nil {
		err = c.keptReferences(ctx, from, to, find)
	}
	if err != nil {
		return err
	}
	at, _ := slices.BinarySearchFunc(c.others, from, func(r reference, id engine.BlobID) int { return cmp.Compare(r.id, id) })
	for _, r := range c.others[at:] {
		if r.id > to {
			break
		}
		if b := find(r.id); b != nil {
			b.left -= r.n
		} else if !c.moving[r.id] {
			c.found(fmt.Sprintf("body %x", uint64(r.id)), "is referred to from outside of the store and is not there")
		}
	}
	for _, b := range list {
		if b.left != 0 && !c.moving[b.id] {
			c.found(fmt.Sprintf("body %x", uint64(b.id)), "counts %d references more than there are", b.left)
		}
	}
	return nil
}

// owner checks that the mailbox of a record is there, or is being cleared away.
func (c *checker) owner(id storage.MailboxID) error {
	for _, key := range [][]byte{stateKey(id), doomedKey(id)} {
		if _, ok, err := c.snap.Get(key); err != nil || ok {
			return err
		}
	}
	c.found(fmt.Sprintf("mailbox %d", id), "has messages and is not there")
	return nil
}

// reference checks a record's reference to a body.
func (c *checker) reference(where string, m *record, b *counted) error {
	switch {
	case b == nil:
		c.found(where, "its body %x is not there", uint64(m.blob))
		return nil
	case m.offset+m.bodySize() > b.size:
		c.found(where, "its body %x has %d octets, and should have %d at %d", uint64(m.blob), b.size, m.bodySize(), m.offset)
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
		_, err = io.Copy(io.Discard, message.NewReader(body))
		body.Close()
	}
	if errors.Is(err, engine.ErrDamaged) {
		c.found(where, "%v", err)
		return nil
	}
	return err
}
