package local

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/internal/lexicon"
)

// Text says how a store keeps the index of words that text searches use, see
// storage.TextIndex. The index is about a seventh of the size of the mail that
// is in it. It is no part of the log: it is never synced, is not in a backup,
// may be removed while the store is closed, and is made again where it is
// missing, damaged or does not fit the mail.
type Text struct {
	Mode TextMode
	Dir  string // where it is kept; empty: in the directory "text" of the store's
}

// TextMode says which mailboxes are in the index of words.
type TextMode int

const (
	// TextSearched: those in which somebody has searched for a text once. That
	// first search waits for the index up to two seconds, and looks into the
	// messages that it does not know then.
	TextSearched TextMode = iota
	// TextAll: all.
	TextAll
	// TextOff: none. A search looks into every message. An index that is there
	// is left alone.
	TextOff
)

// String returns "searched", "all" or "off".
func (m TextMode) String() string {
	if m < 0 || int(m) >= len(textModes) {
		return fmt.Sprintf("TextMode(%d)", int(m))
	}
	return textModes[m]
}

var textModes = [...]string{TextSearched: "searched", TextAll: "all", TextOff: "off"}

const (
	// A search finds new messages without help, unless they are more, or larger,
	// than this. To know so few saves less than it costs.
	textTail       = 64
	textTailOctets = 256 << 10

	// textWait is how long a search waits for what is not in the index yet.
	textWait = 2 * time.Second

	// textRetry is how long nobody tries to add to an index that could not be
	// written.
	textRetry = time.Minute

	// textBuilders bounds the searches that make segments at the same time, since
	// each takes about 24 MiB for that. The worker does it besides.
	textBuilders = 2

	// textBoxes is of how many mailboxes that nobody uses it is kept in memory
	// which segments they have: about 300 octets each.
	textBoxes = 1000
)

// texts is the index of words.
//
// The segments of a mailbox ascend and know every message up to the last one's
// Last. New messages are added as new segments, and a few segments become one
// now and then. A search only ever reads.
type texts struct {
	s       *Store
	fs      vfs.FS
	dir     string
	mode    TextMode
	builder chan struct{} // has room for textBuilders
	worker  *textWorker
	changes atomic.Uint64 // of the store

	mu     sync.Mutex
	boxes  map[storage.MailboxID]*textBox
	recent list.List // of *textBox, the one used last in front
}

// newTexts returns nil when there is to be no index.
func newTexts(s *Store, dir string) *texts {
	o := &s.options
	if o.Text.Mode == TextOff {
		return nil
	}
	t := &texts{
		s: s, fs: o.FS, dir: o.Text.Dir, mode: o.Text.Mode,
		builder: make(chan struct{}, textBuilders), boxes: make(map[storage.MailboxID]*textBox),
	}
	if t.fs == nil {
		t.fs = vfs.Default
	}
	if t.dir == "" {
		t.dir = t.fs.PathJoin(dir, "text")
	}
	t.worker = startTextWorker(t)
	return t
}

func (t *texts) stop() {
	if t != nil {
		t.worker.stop()
	}
}

// TextCandidates asks the index of words. What is not in it is a candidate.
func (m *mailbox) TextCandidates(ctx context.Context, text string) (imap.UIDSet, error) {
	if _, err := m.ready(ctx); err != nil {
		return nil, err
	}
	var set imap.UIDSet
	known := uint32(0)
	if q := lexicon.NewQuery(text); m.s.texts != nil && !q.All() {
		var err error
		if set, known, err = m.s.texts.search(ctx, m, q); err != nil {
			return nil, failure(err)
		}
	}
	st, err := m.ready(ctx)
	if err == nil && known+1 < st.next {
		set = append(set, imap.UIDRange{Start: imap.UID(known + 1), Stop: imap.UID(st.next - 1)})
	}
	return set, err
}

// pin returns what is known of a mailbox. Whoever gets it must unpin it.
func (t *texts) pin(id storage.MailboxID) *textBox {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.boxes[id]
	if b == nil {
		b = &textBox{t: t, id: id, turn: make(chan struct{}, 1)}
		b.element = t.recent.PushFront(b)
		t.boxes[id] = b
	}
	t.recent.MoveToFront(b.element)
	b.pins++
	return b
}

func (t *texts) unpin(b *textBox) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b.pins--
	for at := t.recent.Back(); at != nil && len(t.boxes) > textBoxes; {
		old := at.Value.(*textBox)
		at = at.Prev()
		if old.pins == 0 {
			t.recent.Remove(old.element)
			delete(t.boxes, old.id)
		}
	}
}

// octets returns about how large the index is.
func (t *texts) octets(ctx context.Context) (n int64) {
	if t == nil {
		return 0
	}
	boxes, err := t.fs.List(t.dir)
	if err != nil {
		return 0 // there is none
	}
	for _, box := range boxes {
		files, err := t.fs.List(t.fs.PathJoin(t.dir, box))
		if err != nil || ctx.Err() != nil {
			continue
		}
		for _, name := range files {
			if info, err := t.fs.Stat(t.fs.PathJoin(t.dir, box, name)); err == nil {
				n += info.Size()
			}
		}
	}
	return n
}
