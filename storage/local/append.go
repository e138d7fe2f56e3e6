package local

import (
	"context"
	"io"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// Append stores messages. Several are written as one body, of which each has a
// piece, because all or none must be stored.
func (m *mailbox) Append(ctx context.Context, msgs ...storage.NewMessage) ([]imap.UID, error) {
	if _, err := m.ready(ctx); err != nil || len(msgs) == 0 {
		return nil, err
	}
	records, indexes, err := m.s.prepareAppend(msgs)
	if err != nil {
		return nil, err
	}
	var c *boxChange
	err = m.commit(ctx, joinBodies(msgs), func(t tx) error {
		st, err := t.state(m.id)
		if err != nil {
			return err
		}
		if err := t.room(m.tree, &st, total(records)); err != nil {
			return err
		}
		for i := range records {
			records[i].blob = t.Blob()
		}
		if c, err = t.add(m.id, st, records); err != nil {
			return err
		}
		if t.Blob() == 0 {
			return nil
		}
		t.Ref(t.Blob(), len(records))
		for i := range records {
			if indexes[i] != nil {
				t.Cache(indexKey(records[i].place), indexes[i])
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	given := make([]imap.UID, len(c.added))
	for i, l := range c.added {
		given[i] = uidOf(l)
	}
	return given, nil
}

// prepareAppend does what can be done before it is the change's turn.
func (s *Store) prepareAppend(msgs []storage.NewMessage) (records []record, indexes [][]byte, err error) {
	records, indexes = make([]record, len(msgs)), make([][]byte, len(msgs))
	at := int64(0)
	for i, msg := range msgs {
		if err := msg.Flags.Check(); err != nil {
			return nil, nil, err
		}
		if indexes[i], err = s.encodeIndex(msg.Body, msg.Index); err != nil {
			return nil, nil, err
		}
		r := &records[i]
		r.flags, r.words, r.date = msg.Flags.System, msg.Flags.Keywords, newStamp(msg.Date)
		r.size, r.offset = size(msg.Body), at
		at += r.size
	}
	return records, indexes, nil
}

func size(b message.Body) int64 {
	if b == nil {
		return 0
	}
	return b.Size()
}

// joinBodies returns the bodies of messages as one; nil when there is none.
func joinBodies(msgs []storage.NewMessage) message.Body {
	if len(msgs) == 1 {
		return msgs[0].Body
	}
	var all joined
	for _, m := range msgs {
		if size(m.Body) > 0 {
			all.parts = append(all.parts, m.Body)
			all.ends = append(all.ends, all.Size()+m.Body.Size())
		}
	}
	if len(all.parts) == 0 {
		return nil
	}
	return &all
}

// joined is many bodies as one.
type joined struct {
	parts []message.Body
	ends  []int64
}

func (j *joined) Size() int64 {
	if len(j.ends) == 0 {
		return 0
	}
	return j.ends[len(j.ends)-1]
}

func (j *joined) ReadAt(p []byte, off int64) (n int, err error) {
	start := int64(0)
	for i, part := range j.parts {
		if off < j.ends[i] && n < len(p) {
			k, err := part.ReadAt(p[n:min(len(p), n+int(j.ends[i]-off))], off-start)
			n, off = n+k, off+int64(k)
			if off < j.ends[i] && n < len(p) {
				if err == nil || err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				return n, err
			}
		}
		start = j.ends[i]
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
