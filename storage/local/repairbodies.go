package local

import (
	"context"
	"errors"
	"time"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// fixReferences sets reference counts right.
func (r *repairer) fixReferences(ctx context.Context, group []Damage) error {
	return r.commit(ctx, func(t tx) error {
		for _, d := range group {
			t.Ref(d.of.blob, -d.of.n)
		}
		return nil
	})
}

// fixUnclaimed keeps a body that nobody refers to as a message.
func (r *repairer) fixUnclaimed(ctx context.Context, group []Damage) error {
	of := group[0].of
	return r.commit(ctx, func(t tx) error {
		g, err := t.lostAndFound()
		if err != nil {
			return err
		}
		b, ok, err := g.find(storage.Inbox)
		if err != nil || !ok {
			return errors.Join(err, storage.ErrNoMailbox)
		}
		st, err := t.state(b.id)
		if err != nil {
			return err
		}
		t.Ref(of.blob, 1-of.n)
		m := record{listed: listed{row: row{date: newStamp(time.Time{}), size: of.size}}, place: place{blob: of.blob}}
		_, err = t.add(b.id, st, []record{m})
		return err
	})
}

// tidyHints removes hints that can't be read or are of nothing any more. They
// are no damage: what they say is found again when somebody asks.
func (s *Store) tidyHints(ctx context.Context) error {
	snap := s.e.Snapshot()
	defer snap.Close()
	var gone [][]byte
	err := snap.Scan(ctx, []byte{keyIndex}, []byte{keyIndex + 1}, func(k, v []byte) error {
		if n, ok := number(k, 0); len(gone) < maxPlan && (!ok || !s.isIndex(engine.BlobID(n), v)) {
			gone = append(gone, append([]byte(nil), k...))
		}
		return nil
	})
	if err == nil {
		err = snap.Scan(ctx, []byte{keyRecent}, []byte{keyRecent + 1}, func(k, v []byte) error {
			n, ok := number(k, 0)
			if _, there, err := snap.Get(stateKey(storage.MailboxID(n))); err != nil || ok && there && len(v) == 4 && len(k) == 9 {
				return err
			}
			gone = append(gone, append([]byte(nil), k...))
			return nil
		})
	}
	for _, k := range gone {
		if err == nil {
			err = s.e.PutCache(k, nil)
		}
	}
	return failure(err)
}

// isIndex reports whether a hint is the part index of a body that is there.
func (s *Store) isIndex(b engine.BlobID, v []byte) bool {
	if _, err := message.DecodePart(v); err != nil {
		return false
	}
	body, err := s.e.Open(b)
	if err == nil {
		body.Close()
	}
	return !errors.Is(err, engine.ErrNoBlob)
}
