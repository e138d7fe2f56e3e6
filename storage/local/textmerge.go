package local

import (
	"context"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/posthouse-mail/posthouse/storage/internal/lexicon"
)

const (
	// textMerge is how many segments of about one size become one. A message
	// is written as often as its mailbox grows by this factor.
	textMerge = 4

	// textSmall is the size, in octets, up to which segments are of the lowest
	// level. That of each further level is textMerge times larger.
	textSmall = 64 << 10
	maxLevels = 16
)

func (g textSegment) level() int {
	n := 0
	for size := g.size; size > textSmall && n < maxLevels; n++ {
		size /= textMerge
	}
	return n
}

// tidy makes few segments of many, and smaller ones of those of which most
// messages are gone. The caller has the turn.
func (t *texts) tidy(ctx context.Context, b *textBox, p *textPacer) error {
	for {
		segments, _ := b.current()
		old := mergeable(segments)
		if old == nil {
			break
		}
		if err := t.merge(ctx, b, old, p); err != nil {
			return err
		}
	}
	return t.shrink(ctx, b, p)
}

// mergeable returns the segments that should become one next, nil when there
// are few.
func mergeable(segments []textSegment) []textSegment {
	for level := 0; level <= maxLevels; level++ {
		n := len(segments)
		for n > 0 && segments[n-1].level() <= level {
			n--
		}
		run := segments[n:]
		for len(run) > 0 && run[len(run)-1].last-run[0].first >= lexicon.MaxSpan {
			run = run[1:]
		}
		if len(run) >= textMerge {
			return run
		}
	}
	return nil
}

// shrink writes segments again of which most messages are gone.
func (t *texts) shrink(ctx context.Context, b *textBox, p *textPacer) error {
	segments, _ := b.current()
	known := 0
	for _, g := range segments {
		known += g.messages
	}
	st, err := t.s.state(b.id)
	if err != nil || known <= 2*int(st.messages)+textTail {
		return err
	}
	rows, err := t.s.tables.get(ctx, b.id)
	if err != nil {
		return err
	}
	for i, g := range segments {
		live := 0
		for r := range rows.from(g.first) {
			if r.uid > g.last {
				break
			}
			live++
		}
		if g.messages > 0 && live <= g.messages/2 {
			if err := t.merge(ctx, b, segments[i:i+1], p); err != nil {
				return err
			}
		}
	}
	return nil
}

// merge makes one segment of several that follow one another, of those of their
// messages that are still there.
func (t *texts) merge(ctx context.Context, b *textBox, old []textSegment, p *textPacer) error {
	if err := t.room(); err != nil {
		return err
	}
	rows, err := t.s.tables.get(ctx, b.id)
	if err != nil {
		return err
	}
	g := textSegment{first: old[0].first, last: old[len(old)-1].last}
	alive := lexicon.NewSet(g.first, g.last)
	for r := range rows.from(g.first) {
		if r.uid > g.last {
			break
		}
		alive.Add(r.uid)
		g.messages++
	}
	var files []vfs.File
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	var segments []*lexicon.Segment
	for _, had := range old {
		f, s, err := b.open(had)
		if err != nil {
			return err
		}
		files, segments = append(files, f), append(segments, s)
	}
	return b.write(g, func(out io.Writer) error { return lexicon.Merge(out, segments, alive, p.pause) })
}
