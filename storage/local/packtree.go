package local

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/storage"
)

// all writes everything of the account but the bodies.
func (p *packer) all(ctx context.Context, snap *engine.Snapshot) error {
	rec, err := p.record(snap)
	if err != nil {
		return err
	}
	if err := p.w.write(frameAccount, rec.append(nil)); err != nil {
		return err
	}
	id := uint64(p.id)
	for _, of := range [...]struct{ kind, frame byte }{
		{keySubscription, frameSubscription}, {keyValidity, frameValidity}, {keyAccountNote, frameAccountNote},
	} {
		err := snap.Scan(ctx, numberKey(of.kind, id), behind(of.kind, id), func(k, v []byte) error { return p.pair(of.frame, k[9:], v) })
		if err != nil {
			return err
		}
	}
	err = snap.Scan(ctx, numberKey(keyName, id), behind(keyName, id), func(k, v []byte) error {
		if err := p.mailbox(ctx, snap, string(k[9:]), v); err != nil {
			return fmt.Errorf("mailbox %q: %w", k[9:], err)
		}
		return nil
	})
	if err == nil {
		err = p.kept(ctx, snap)
	}
	return err
}

// pair writes a key and its value.
func (p *packer) pair(kind byte, key, value []byte) error {
	p.frame = append(appendBytes(p.frame[:0], key), value...)
	return p.w.write(kind, p.frame)
}

// mailbox writes one mailbox with all that is in it.
func (p *packer) mailbox(ctx context.Context, snap *engine.Snapshot, name string, line []byte) error {
	b, err := parseBox(line)
	if err != nil {
		return err
	}
	st, err := getState(snap, b.id)
	if err != nil {
		return err
	}
	told, err := toldAt(snap, b.id)
	if err != nil {
		return err
	}
	p.sum.Mailboxes++
	p.frame = binary.AppendUvarint(appendBytes(appendBytes(p.frame[:0], name), line), uint64(told))
	if err := p.w.write(frameMailbox, st.append(p.frame)); err != nil {
		return err
	}
	err = snap.Scan(ctx, boxNotes(b.id), behind(keyBoxNote, uint64(b.id)), func(k, v []byte) error { return p.pair(frameBoxNote, k[9:], v) })
	if err == nil {
		err = snap.Scan(ctx, expungedKey(b.id, st.floor+1), behind(keyExpunged, uint64(b.id)), func(k, v []byte) error { return p.pair(frameTombstone, k[9:], v) })
	}
	for from := uint32(1); err == nil && from != 0; {
		from, err = p.messages(ctx, snap, b.id, from)
	}
	return err
}

// messages writes some messages of a mailbox, from a UID on, with the flags and
// ModSeqs that they have now. It returns the UID to go on from, 0 at the end.
func (p *packer) messages(ctx context.Context, snap *engine.Snapshot, id storage.MailboxID, from uint32) (next uint32, err error) {
	list, err := someRecords(ctx, snap, id, from)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	if err := asOnPages(snap, id, list); err != nil {
		return 0, err
	}
	all, err := p.s.sums(list)
	if err != nil {
		return 0, err
	}
	for i := range list {
		m := &list[i]
		m.named = m.email(p.id)
		p.frame = m.append(appendSummed(binary.AppendUvarint(p.frame[:0], uint64(m.uid)), all[i]))
		if err := p.w.write(frameMessage, p.frame); err != nil {
			return 0, err
		}
	}
	p.sum.Messages += int64(len(list))
	return list[len(list)-1].uid + 1, nil
}

func appendSummed(b []byte, s summed) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(s.size)), uint64(s.sum))
}

// kept writes the retained messages, ascending as they were expunged.
func (p *packer) kept(ctx context.Context, snap *engine.Snapshot) error {
	for from := keptKey(p.id, 0); ; {
		size := 0
		var list []kept
		var records []record
		err := snap.Scan(ctx, from, behind(keyKept, uint64(p.id)), func(k, v []byte) error {
			one, err := parseKept(k, v)
			one.prefix = slices.Clone(one.prefix)
			list, records = append(list, one), append(records, one.record)
			from = append(append(from[:0], k...), 0)
			if size += one.weight(); err == nil && (len(list) == keptBatch || size > 1<<20) {
				err = errEnough
			}
			return err
		})
		if err != nil && !errors.Is(err, errEnough) || len(list) == 0 {
			return err
		}
		all, err := p.s.sums(records)
		for i := range list {
			list[i].named = list[i].email(p.id)
			p.frame = list[i].append(appendSummed(p.frame[:0], all[i]))
			if err = cmp.Or(err, p.w.write(frameKept, p.frame)); err != nil {
				return err
			}
		}
		p.sum.Messages += int64(len(list))
	}
}
