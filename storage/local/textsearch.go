package local

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/internal/lexicon"
	"github.com/posthouse-mail/posthouse/storage/internal/uids"
)

// search asks the segments of a mailbox. Behind known nobody was asked. What is
// wrong with the index only makes a search slower.
func (t *texts) search(ctx context.Context, m *mailbox, q *lexicon.Query) (set imap.UIDSet, known uint32, err error) {
	b := t.pin(m.id)
	defer t.unpin(b)
	if !b.fails() {
		if err := t.catchUp(ctx, m, b); t.spoils(ctx, err) {
			return nil, 0, err
		} else if err != nil {
			t.failed(b.id, err)
			b.later()
		}
	}
	set, known, err = b.search(ctx, q)
	switch {
	case t.spoils(ctx, err):
		return nil, 0, err
	case err != nil:
		t.failed(b.id, err)
		if errors.Is(err, lexicon.ErrDamaged) || errors.Is(err, fs.ErrNotExist) {
			t.damaged(ctx, b)
		}
		return nil, 0, nil
	}
	return set, known, nil
}

// spoils reports errors that are not of the index.
func (t *texts) spoils(ctx context.Context, err error) bool {
	return err != nil && (ctx.Err() != nil || t.s.closed.Load() || errors.Is(err, storage.ErrNoMailbox))
}

func (t *texts) failed(id storage.MailboxID, err error) {
	t.s.log.Warn("index of words can't be used now", "mailbox", id, "error", err)
}

// damaged has the segments of a mailbox made again.
func (t *texts) damaged(ctx context.Context, b *textBox) {
	if b.take(ctx) == nil {
		defer b.give()
		if err := b.drop(); err != nil {
			t.failed(b.id, err)
		}
		t.worker.look(b.id)
	}
}

// catchUp brings what is missing into the index, as far as it is worth it and
// there is time. Whatever is left then is the worker's.
func (t *texts) catchUp(ctx context.Context, m *mailbox, b *textBox) error {
	if b.high() > 0 {
		if done, err := t.caughtUp(ctx, b); done || err != nil {
			return err
		}
	}
	until := time.Now().Add(textWait)
	within, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	b.waiting.Add(1)
	err := b.take(within)
	b.waiting.Add(-1)
	if err != nil {
		return ctx.Err() // without it somebody else is busy with this mailbox
	}
	defer b.give()
	if err := b.load(ctx); err != nil {
		return err
	}
	if done, err := t.caughtUp(ctx, b); done || err != nil {
		if err == nil && !t.has(b.id) {
			err = t.fs.MkdirAll(b.dir(), 0o700) // from now on it is in the index
		}
		return err
	}
	t.worker.look(b.id)
	select {
	case t.builder <- struct{}{}:
		defer func() { <-t.builder }()
		return t.build(ctx, m, b, &textPacer{ctx: ctx, until: until})
	case <-within.Done():
		return ctx.Err()
	}
}

// caughtUp reports whether what is missing in the index is not worth the
// trouble.
func (t *texts) caughtUp(ctx context.Context, b *textBox) (bool, error) {
	st, err := t.s.state(b.id)
	high := b.high()
	if err != nil || st.next <= high+1 {
		return true, err
	}
	rows, err := t.s.tables.get(ctx, b.id)
	if err != nil {
		return false, err
	}
	n, octets := 0, int64(0)
	for r := range rows.from(high + 1) {
		n, octets = n+1, octets+r.size
		if n > textTail || octets > textTailOctets {
			return false, nil
		}
	}
	return true, nil
}

// search looks into all segments.
func (b *textBox) search(ctx context.Context, q *lexicon.Query) (set imap.UIDSet, known uint32, err error) {
	files, segments, err := b.openAll()
	for _, f := range files {
		defer f.Close()
	}
	if err != nil {
		return nil, 0, err
	}
	for _, s := range segments {
		found, err := s.Search(ctx, q)
		if err != nil {
			return nil, 0, err
		}
		for uid := range found.All() {
			set = uids.Append(set, imap.UID(uid))
		}
		known = s.Last
	}
	return set, known, nil
}

// openAll opens all segments, which nobody replaces meanwhile.
func (b *textBox) openAll() (files []vfs.File, segments []*lexicon.Segment, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, g := range b.segments {
		f, s, err := b.open(g)
		if err != nil {
			return files, nil, err
		}
		files, segments = append(files, f), append(segments, s)
	}
	return files, segments, nil
}
