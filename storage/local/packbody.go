package local

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/message"
)

// bodies returns the bodies of the account that are not sent yet, ascending.
// A body that came later than another has a higher number, so those above the
// last that was sent are all that is missing.
func (p *packer) bodies(ctx context.Context, snap *engine.Snapshot) (ids []engine.BlobID, err error) {
	add := func(b engine.BlobID) {
		if b > p.upto {
			ids = append(ids, b)
		}
	}
	boxes, err := p.boxes(ctx, snap)
	for _, m := range boxes {
		if err == nil {
			err = snap.Scan(ctx, messageKey(m.ID, 0), behind(keyMessage, uint64(m.ID)), func(k, v []byte) error {
				rec, err := parseMessage(k, v)
				add(rec.blob)
				return err
			})
		}
	}
	if err == nil {
		err = snap.Scan(ctx, keptKey(p.id, 0), behind(keyKept, uint64(p.id)), func(k, v []byte) error {
			rec, err := parseKept(k, v)
			add(rec.blob)
			return err
		})
	}
	slices.Sort(ids)
	return slices.Compact(ids), err
}

// sendBatch is how many bodies are looked up at a time.
const sendBatch = 500

// send writes bodies, ascending. It returns how many of them are gone.
func (p *packer) send(ctx context.Context, ids []engine.BlobID) (missed int, err error) {
	reader := p.s.e.NewReader()
	defer reader.Close()
	chunk := make([]byte, dataSize)
	for some := range slices.Chunk(ids, sendBatch) {
		if err := reader.Prepare(some); err != nil {
			return missed, err
		}
		for _, id := range some {
			body, err := reader.Open(id)
			if errors.Is(err, engine.ErrNoBlob) {
				missed++
			} else if err == nil {
				err = p.body(ctx, id, body, chunk)
			}
			if err != nil && !errors.Is(err, engine.ErrNoBlob) {
				return missed, fmt.Errorf("body %x: %w", uint64(id), err)
			}
			p.upto = id
		}
	}
	return missed, nil
}

func (p *packer) body(ctx context.Context, id engine.BlobID, body message.Body, chunk []byte) error {
	p.frame = binary.AppendUvarint(binary.AppendUvarint(p.frame[:0], uint64(id)), uint64(body.Size()))
	if err := p.w.write(frameBody, p.frame); err != nil {
		return err
	}
	p.sum.Bodies++
	for at := int64(0); at < body.Size(); at += int64(len(chunk)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		piece := chunk[:min(int64(len(chunk)), body.Size()-at)]
		if n, err := body.ReadAt(piece, at); n < len(piece) {
			return err
		}
		if err := p.w.write(frameData, piece); err != nil {
			return err
		}
	}
	return nil
}

// summed is a body as an archive names it beside a message, so that it is
// noticed when the other store takes another one for it.
type summed struct {
	size int64
	sum  uint32
}

// sums looks up the bodies of messages.
func (s *Store) sums(list []record) ([]summed, error) {
	ids, all := make([]engine.BlobID, len(list)), make([]summed, len(list))
	for i := range list {
		ids[i] = list[i].blob
	}
	found := 0
	err := s.e.Sums(ids, func(i int, size int64, sum uint32) error {
		all[i] = summed{size, sum}
		found++
		return nil
	})
	for _, id := range ids {
		if id == 0 {
			found++
		}
	}
	if err == nil && found < len(list) {
		return nil, fmt.Errorf("%w: a message was expunged while it was packed", ErrBusy)
	}
	return all, err
}
