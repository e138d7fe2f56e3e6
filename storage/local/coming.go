package local

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/internal/uids"
)

// coming is an account that is being unpacked: what will be its tree is in
// memory, and what is in its mailboxes is written already, under numbers that
// look as those of a deleted account until the last change gives them names.
type coming struct {
	rec    accountRecord
	subs   []string
	freed  map[string]uint32
	notes  map[string][]byte // annotations of the account, by the end of their key
	noted  noted
	boxes  []*comingBox
	byName map[string]*comingBox
	weight int // octets of all of this, about

	box   *comingBox // the one that is being filled; nil: none yet
	phase byte       // kind of the last frame

	staged  staged
	records []comingRecord
	kept    []comingKept
	size    int   // octets of records and kept
	soonest int64 // when the time of the first of kept is over; 0: there are none
}

// maxComing bounds coming.weight: the engine has a bound for a change.
const maxComing = 56 << 20

// comingBox is a mailbox that is being unpacked.
type comingBox struct {
	name string
	box
	told  uint32
	st    state
	noted noted

	last    uint32       // UID of the last message
	expunge uint64       // ModSeq of the last tombstone
	expired imap.UIDSet  // of all tombstones
	gone    uids.Ranges  // the same in order; known when the first message comes
	walk    *uids.Walker // of gone
	page    *chunk       // of the last message; nil: none
}

// comingRecord is a message with its body as the archive names it.
type comingRecord struct {
	record
	summed
	mailbox storage.MailboxID
}

type comingKept struct {
	kept
	summed
}

// staged is keys to be set, and references to be added, with the next change.
type staged struct {
	keys, values [][]byte
	size         int
}

const (
	stageOctets = 1 << 20
	stageKeys   = 2000
)

func (s *staged) set(key, value []byte) {
	s.keys, s.values = append(s.keys, key), append(s.values, value)
	s.size += len(key) + len(value)
}

// full reports whether it is time for a change.
func (c *coming) full() bool {
	return c.staged.size+c.size >= stageOctets || len(c.staged.keys)+len(c.records)+len(c.kept) >= stageKeys
}

// write makes what has gathered one change.
func (u *unpacker) write(ctx context.Context) error {
	c := u.coming
	if len(c.staged.keys)+len(c.records)+len(c.kept) == 0 {
		return nil
	}
	if err := u.resolve(); err != nil {
		return err
	}
	err := u.s.commit(ctx, nil, func(t tx) error {
		for i := range c.records {
			m := &c.records[i].record
			t.Set(messageKey(c.records[i].mailbox, m.uid), m.append(nil))
			if m.blob != 0 {
				t.Ref(m.blob, 1)
			}
		}
		if len(c.kept) > 0 {
			first := t.newRetained(len(c.kept))
			for i := range c.kept {
				k := c.kept[i].kept
				k.account, k.id = c.rec.id, first+storage.RetainedID(i)
				t.keep(k)
				if k.blob != 0 {
					t.Ref(k.blob, 1)
				}
			}
		}
		for i, k := range c.staged.keys {
			t.Set(k, c.staged.values[i])
		}
		return nil
	})
	c.records, c.kept, c.size = c.records[:0], c.kept[:0], 0
	c.staged = staged{c.staged.keys[:0], c.staged.values[:0], 0}
	return err
}

// resolve finds the bodies that have arrived for what the next change writes.
func (u *unpacker) resolve() error {
	c := u.coming
	all := make([]*record, 0, len(c.records)+len(c.kept))
	sums := make([]summed, 0, cap(all))
	for i := range c.records {
		all, sums = append(all, &c.records[i].record), append(sums, c.records[i].summed)
	}
	for i := range c.kept {
		all, sums = append(all, &c.kept[i].record), append(sums, c.kept[i].summed)
	}
	keys, here := make([][]byte, len(all)), make([]engine.BlobID, len(all))
	for i, m := range all {
		keys[i] = arrivedKey(u.listed, m.blob)
	}
	err := u.s.e.GetMany(keys, func(i int, v []byte) (err error) {
		here[i], err = parseArrived(v)
		return err
	})
	if err != nil {
		return err
	}
	found := make([]bool, len(all))
	err = u.s.e.Sums(here, func(i int, size int64, sum uint32) error {
		found[i] = summed{size, sum} == sums[i] && all[i].offset <= size-all[i].bodySize()
		return nil
	})
	if err != nil {
		return err
	}
	for i, m := range all {
		if m.blob == 0 {
			continue
		}
		if !found[i] {
			return badArchive("body %x has not arrived, or another one has: pack all of it", uint64(m.blob))
		}
		m.blob = here[i]
	}
	return nil
}

// close gives up what did not become an account.
func (u *unpacker) close() {
	u.drop()
	if u.coming == nil {
		return
	}
	u.s.arriving.release(u.coming)
	u.s.purger.wake()
}
