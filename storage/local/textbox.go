package local

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/internal/lexicon"
)

// textBox is the segments of one mailbox. They stand in a directory of its own
// under its number, each under its range of UIDs.
type textBox struct {
	t       *texts
	id      storage.MailboxID
	pins    int           // guarded by texts.mu
	element *list.Element // the same

	turn    chan struct{} // has room for one: who changes segments, or loads them
	waiting atomic.Int32  // searches that wait for their turn

	mu       sync.Mutex
	loaded   bool
	segments []textSegment // ascending
	retry    time.Time     // until then nobody tries again what has failed
}

type textSegment struct {
	first, last uint32
	size        int64
	messages    int
}

const textSuffix = ".words"

func (g textSegment) name() string { return fmt.Sprintf("%08x-%08x%s", g.first, g.last, textSuffix) }

func parseTextName(name string) (g textSegment, ok bool) {
	numbers, is := strings.CutSuffix(name, textSuffix)
	first, last, both := strings.Cut(numbers, "-")
	a, err := strconv.ParseUint(first, 16, 32)
	b, err2 := strconv.ParseUint(last, 16, 32)
	g = textSegment{first: uint32(a), last: uint32(b)}
	return g, is && both && err == nil && err2 == nil && g.first <= g.last && name == g.name()
}

func (t *texts) dirOf(id storage.MailboxID) string {
	return t.fs.PathJoin(t.dir, strconv.FormatUint(uint64(id), 10))
}

// has reports whether a mailbox is one that the index has, or is to have.
func (t *texts) has(id storage.MailboxID) bool {
	_, err := t.fs.Stat(t.dirOf(id))
	return err == nil
}

func (b *textBox) dir() string { return b.t.dirOf(b.id) }

func (b *textBox) path(name string) string { return b.t.fs.PathJoin(b.dir(), name) }

// take waits for the box's turn, which the caller gives back.
func (b *textBox) take(ctx context.Context) error {
	select {
	case b.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *textBox) give() { <-b.turn }

// list returns the names of the segments that are there, ascending, and leaves
// out those that another one has taken the place of.
func (b *textBox) list() (segments []textSegment, rest []string, err error) {
	names, err := b.t.fs.List(b.dir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	for _, name := range names {
		if g, ok := parseTextName(name); ok {
			segments = append(segments, g)
		} else {
			rest = append(rest, name)
		}
	}
	slices.SortFunc(segments, func(x, y textSegment) int {
		return cmp.Or(cmp.Compare(x.first, y.first), cmp.Compare(y.last, x.last))
	})
	kept := segments[:0]
	for _, g := range segments {
		if n := len(kept); n > 0 && g.first <= kept[n-1].last {
			rest = append(rest, g.name())
			continue
		}
		kept = append(kept, g)
	}
	return kept, rest, err
}

// load finds out which segments there are, once. Those that do not fit the
// messages of the mailbox are removed. The caller has the turn.
func (b *textBox) load(ctx context.Context) error {
	if _, known := b.current(); known {
		return nil
	}
	segments, rest, err := b.list()
	if err != nil {
		return err
	}
	var good []textSegment
	if len(segments) > 0 {
		t, err := b.t.s.tables.get(ctx, b.id)
		if err != nil {
			return err
		}
		if good, err = b.fitting(ctx, segments, t); err != nil {
			return err
		}
	}
	for _, g := range segments[len(good):] {
		rest = append(rest, g.name())
	}
	if err := b.remove(rest); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.segments, b.loaded = good, true
	return nil
}

// fitting returns those of the segments, from the first on, that know the
// messages that are there as they are. When older mail is put back in the place
// of newer, all UIDs from one on come to mean other messages. So it is enough to
// look into the last message of each segment.
func (b *textBox) fitting(ctx context.Context, segments []textSegment, t *table) (good []textSegment, err error) {
	from := uint32(0)
	for _, g := range segments {
		docs, open, err := b.docs(g)
		if errors.Is(err, lexicon.ErrDamaged) {
			return good, nil
		}
		if err != nil {
			return nil, err
		}
		last, ok := lastOf(t, from, docs, g)
		if ok && last.UID > 0 {
			m := &mailbox{account: &account{s: b.t.s}, id: b.id}
			ok, err = m.isStill(ctx, last)
		}
		if err != nil || !ok {
			return good, err
		}
		good = append(good, textSegment{g.first, g.last, open.Size, open.Messages})
		from = g.last + 1
	}
	return good, nil
}

func (b *textBox) docs(g textSegment) ([]lexicon.Doc, *lexicon.Segment, error) {
	f, s, err := b.open(g)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	docs, err := s.Docs()
	return docs, s, err
}

// lastOf returns the last of docs that is still there. ok is false when they
// lack a row from a UID on up to the end of a segment.
func lastOf(t *table, from uint32, docs []lexicon.Doc, g textSegment) (last lexicon.Doc, ok bool) {
	for r := range t.from(from) {
		if r.uid > g.last {
			break
		}
		for len(docs) > 0 && docs[0].UID < r.uid {
			docs = docs[1:]
		}
		if len(docs) == 0 || docs[0].UID != r.uid {
			return last, false
		}
		last = docs[0]
	}
	return last, true
}

func (b *textBox) open(g textSegment) (vfs.File, *lexicon.Segment, error) {
	f, err := b.t.fs.Open(b.path(g.name()))
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	var s *lexicon.Segment
	if err == nil {
		s, err = lexicon.Open(f, info.Size())
	}
	if err == nil && (s.First != g.first || s.Last != g.last) {
		err = lexicon.ErrDamaged
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, s, nil
}

// current returns the segments. ok is false when they are not known yet.
func (b *textBox) current() (segments []textSegment, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.segments, b.loaded
}

// later has everybody leave the index as it is for a while, since what they do
// for it fails.
func (b *textBox) later() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.retry = time.Now().Add(textRetry)
}

func (b *textBox) fails() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Now().Before(b.retry)
}

// high is the last UID that the segments know.
func (b *textBox) high() uint32 {
	segments, _ := b.current()
	if n := len(segments); n > 0 {
		return segments[n-1].last
	}
	return 0
}

// drop forgets all segments, which are to be made again. The caller has the
// turn.
func (b *textBox) drop() error {
	b.mu.Lock()
	b.segments, b.loaded = nil, false
	b.mu.Unlock()
	segments, rest, err := b.list()
	for _, g := range segments {
		rest = append(rest, g.name())
	}
	return errors.Join(err, b.remove(rest))
}

func (b *textBox) remove(names []string) (err error) {
	for _, name := range names {
		err = errors.Join(err, b.t.fs.Remove(b.path(name)))
	}
	return err
}

// removeAll removes the directory of a mailbox that is no more.
func (b *textBox) removeAll() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.segments, b.loaded = nil, false
	return b.t.fs.RemoveAll(b.dir())
}
