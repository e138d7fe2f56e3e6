package local

import (
	"context"
	"errors"
	"fmt"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/internal/uids"
)

// errEnough ends a scan that has seen what it wanted.
var errEnough = errors.New("enough")

// picked is the messages that a change is about. Their records are read
// before it is the change's turn, since they never change; which of them are
// still there, and their flags, is looked at when it is.
type picked struct {
	m       *mailbox
	set     imap.UIDSet
	known   map[uint32]record
	release func() // of the mailbox's table
}

// pick reads the records of a set and pins the mailbox's table.
func (m *mailbox) pick(ctx context.Context, set imap.UIDSet) (*picked, error) {
	if _, err := m.ready(ctx); err != nil {
		return nil, err
	}
	t, release, err := m.s.tables.pin(ctx, m.id)
	if err != nil {
		return nil, err
	}
	p := &picked{m: m, set: set, known: make(map[uint32]record), release: release}
	if err := p.read(ctx, t); err != nil {
		release()
		return nil, err
	}
	return p, nil
}

func (p *picked) read(ctx context.Context, t *table) error {
	ranges := uids.Normal(p.set, imap.UID(t.last()))
	rest := ranges.Walk()
	for _, c := range t.chunks {
		if !c.meets(rest) {
			continue
		}
		first, last := uint32(0), uint32(0)
		for i := range c.rows {
			if rest.Has(imap.UID(c.rows[i].uid)) {
				last = c.rows[i].uid
				if first == 0 {
					first = last
				}
			}
		}
		if first == 0 {
			continue
		}
		err := p.m.s.e.Scan(ctx, messageKey(p.m.id, first), messageKey(p.m.id, last+1), func(k, v []byte) error {
			rec, err := parseMessage(k, v)
			rec.prefix = append([]byte(nil), rec.prefix...)
			p.known[rec.uid] = rec
			return err
		})
		if err != nil {
			return fmt.Errorf("mailbox %d: %w", p.m.id, failure(err))
		}
	}
	return nil
}

// records returns the records of the messages of the set that are there, with
// the flags and the ModSeq that they have now.
func (p *picked) records(t tx, now *table) (list []record, err error) {
	walk := uids.Normal(p.set, imap.UID(now.last())).Walk()
	for _, c := range now.chunks {
		if !c.meets(walk) {
			continue
		}
		for i := range c.rows {
			if !walk.Has(imap.UID(c.rows[i].uid)) {
				continue
			}
			l := c.get(i)
			rec, ok := p.known[l.uid]
			if !ok { // it came after the records were read
				if rec, err = t.record(p.m.id, l.uid); err != nil {
					return nil, err
				}
			}
			rec.listed = l
			list = append(list, rec)
		}
	}
	return list, nil
}

// record reads a message's record as the changes built so far leave it.
func (t tx) record(id storage.MailboxID, uid uint32) (record, error) {
	v, ok, err := t.Get(messageKey(id, uid))
	if err != nil {
		return record{}, err
	}
	if !ok {
		return record{}, fmt.Errorf("mailbox %d message %d: %w: no record", id, uid, ErrDamaged)
	}
	return parseRecord(uid, v)
}
