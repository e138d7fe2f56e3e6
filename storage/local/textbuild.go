package local

import (
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/storage/internal/lexicon"
)

// build makes segments of the messages that none knows, until there are no
// more or the pacer's time is over. The caller has the turn.
func (t *texts) build(ctx context.Context, m *mailbox, b *textBox, p *textPacer) error {
	if err := t.room(); err != nil {
		return err
	}
	rows, err := t.s.tables.get(ctx, b.id)
	if err != nil {
		return err
	}
	if err := t.fs.MkdirAll(b.dir(), 0o700); err != nil {
		return err
	}
	for more := true; more && err == nil && !p.over(); {
		more, err = t.buildOne(ctx, m, b, rows.from(b.high()+1), p)
	}
	return err
}

// buildOne makes a segment of as many of the rows as one takes. more says
// whether there may be others.
func (t *texts) buildOne(ctx context.Context, m *mailbox, b *textBox, rows iter.Seq[*row], p *textPacer) (more bool, err error) {
	var w *lexicon.Builder
	var x textReader
	for r := range rows {
		if w == nil {
			w = lexicon.NewBuilder(r.uid)
			x = textReader{mailbox: m, to: w, pacer: p}
		}
		if w.Messages() > 0 && (p.over() || !w.Takes(r.uid)) {
			more = true
			break
		}
		if err := x.read(ctx, imap.UID(r.uid)); err != nil {
			return false, err
		}
	}
	if w == nil || w.Messages() == 0 { // there are none, or they are gone
		return false, nil
	}
	g := textSegment{first: w.First(), last: w.Last(), messages: w.Messages()}
	return more, b.write(g, func(out io.Writer) error { return w.Write(out, p.pause) })
}

// room returns an error when the disk has too little free space for an index
// that nobody needs.
func (t *texts) room() error {
	reserve := t.s.options.Reserve
	if reserve == 0 {
		reserve = 64 << 20 // as the engine
	}
	usage, err := t.fs.GetDiskUsage(t.dir)
	if reserve > 0 && err == nil && usage.AvailBytes/2 < uint64(reserve) {
		return engine.ErrNoSpace
	}
	return nil
}

// write makes a segment, with what f writes, in the place of those in its
// range. It is not synced: whoever loads it notices when it is not whole.
func (b *textBox) write(g textSegment, f func(io.Writer) error) error {
	name := b.path(g.name())
	file, err := b.t.fs.Create(name+".tmp", vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	counted := &counter{w: file}
	if err := errors.Join(f(counted), file.Close()); err != nil {
		return errors.Join(err, b.t.fs.Remove(name+".tmp"))
	}
	g.size = counted.n
	return b.put(g)
}

// put makes a segment that was written one of the box's.
func (b *textBox) put(g textSegment) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	name := b.path(g.name())
	if err := b.t.fs.Rename(name+".tmp", name); err != nil {
		return err
	}
	var gone []string
	now := make([]textSegment, 0, len(b.segments)+1)
	for _, had := range b.segments {
		switch {
		case had.last < g.first || had.first > g.last:
			now = append(now, had)
		case had.name() != g.name():
			gone = append(gone, had.name())
		}
	}
	at, _ := slices.BinarySearchFunc(now, g.first, func(had textSegment, first uint32) int { return cmp.Compare(had.first, first) })
	b.segments = slices.Insert(now, at, g)
	return b.remove(gone)
}

// counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
