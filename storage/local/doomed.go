package local

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/posthouse-mail/posthouse/storage"
)

// doomed is what is kept of a deleted mailbox until it is cleared away. Its
// origin has no until when its messages are not to be retained; numbers are set
// aside for those that are, so that they stay in the order of time.
type doomed struct {
	origin
	next storage.RetainedID
	left uint32
}

func (d *doomed) append(b []byte) []byte {
	if d.until == 0 {
		return b
	}
	b = binary.AppendUvarint(append(b, version), uint64(d.account))
	b = d.origin.append(b)
	b = binary.AppendUvarint(b, uint64(d.next))
	return binary.AppendUvarint(b, uint64(d.left))
}

func parseDoomed(b []byte) (d doomed, err error) {
	if len(b) == 0 {
		return d, nil
	}
	r := newReader(b)
	d.origin = r.origin(accountID(r.number()))
	d.next = storage.RetainedID(r.number())
	d.left = uint32(r.upTo(math.MaxUint32))
	if err := r.end(); err != nil {
		return doomed{}, err
	}
	return d, nil
}

// keepDoomed says that the messages of a mailbox that was just deleted are
// retained, if they are.
func (g *grown) keepDoomed(name string, b box, st state) {
	from := g.s.origin(g.tree, name, b.kind)
	if from.until == 0 || st.messages == 0 {
		return
	}
	d := doomed{from, g.newRetained(int(st.messages)), st.messages}
	g.Set(doomedKey(b.id), d.append(nil))
}

// number returns the number of the next message.
func (d *doomed) number(t tx) storage.RetainedID {
	if d.left == 0 { // the mailbox's counters were wrong
		return t.newRetained(1)
	}
	d.left--
	d.next++
	return d.next - 1
}

// settle retains the messages of an account's deleted mailboxes for which that
// has not been done yet.
func (p *purger) settle(ctx context.Context, a accountID) error {
	var mine []storage.MailboxID
	err := p.s.e.Scan(ctx, []byte{keyDoomed}, []byte{keyDoomed + 1}, func(k, v []byte) error {
		id, _ := number(k, 0)
		if d, err := parseDoomed(v); err == nil && d.until > 0 && d.account == a {
			mine = append(mine, storage.MailboxID(id))
		}
		return nil
	})
	for _, id := range mine {
		for n := 1; n > 0 && err == nil; {
			n, err = p.someMessages(ctx, id)
		}
		if errors.Is(err, ErrDamaged) { // the purger says so, and others can be restored
			err = nil
		}
	}
	return err
}

// someMessages takes some messages out of a deleted mailbox, and retains those
// that are to be retained. It returns how many there were.
func (p *purger) someMessages(ctx context.Context, id storage.MailboxID) (int, error) {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	v, ok, err := p.s.e.Get(doomedKey(id))
	if err != nil || !ok {
		return 0, err
	}
	d, err := parseDoomed(v)
	if err != nil {
		return 0, err
	}
	if d.until <= p.s.second() {
		d.origin = origin{}
	}
	gone, err := someRecords(ctx, p.s.e, id, 0)
	if err != nil || len(gone) == 0 {
		return 0, err
	}
	if d.until > 0 {
		err = asOnPages(p.s.e, id, gone)
	}
	if err != nil {
		return 0, err
	}
	err = p.commit(ctx, func(t tx) error {
		d := d
		for i := range gone {
			t.Delete(messageKey(id, gone[i].uid))
			if d.until > 0 {
				t.keep(kept{gone[i], d.origin, d.number(t)})
			} else {
				t.unlink(&gone[i])
			}
		}
		t.Set(doomedKey(id), d.append(nil))
		return nil
	})
	if err != nil {
		return 0, err
	}
	p.expect(d.until)
	return len(gone), nil
}

// scanner is the engine, or a snapshot of it.
type scanner interface {
	getter
	Scan(ctx context.Context, from, to []byte, f func(key, value []byte) error) error
}

// someRecords reads some messages of a mailbox, from a UID on.
func someRecords(ctx context.Context, from scanner, id storage.MailboxID, uid uint32) (gone []record, err error) {
	size := 0
	err = from.Scan(ctx, messageKey(id, uid), behind(keyMessage, uint64(id)), func(k, v []byte) error {
		m, err := parseMessage(k, v)
		if err != nil {
			return err
		}
		m.prefix = append([]byte(nil), m.prefix...)
		gone = append(gone, m)
		if size += m.weight(); len(gone) == purgeBatch || size > 1<<20 {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return gone, err
}

// asOnPages gives messages of a mailbox that nobody changes, or of one moment,
// the flags that they had last.
func asOnPages(from getter, id storage.MailboxID, list []record) error {
	c, upto := (*chunk)(nil), uint32(0)
	for i := range list {
		m := &list[i]
		if page := pageOf(m.uid); c == nil || c.page != page {
			c, upto = newChunk(page), 0
			v, ok, err := from.Get(pageKey(id, page))
			if err == nil && ok {
				c, upto, err = parsePage(page, v)
			}
			if err != nil {
				return fmt.Errorf("page %d: %w", page, err)
			}
		}
		if m.uid > upto {
			continue
		}
		for k := range c.rows {
			if c.rows[k].uid == m.uid {
				m.listed = c.get(k)
			}
		}
	}
	return nil
}
