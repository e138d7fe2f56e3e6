package local

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/posthouse-mail/posthouse/storage"
)

const (
	// textPause is how long changes gather before the worker looks at them.
	textPause = time.Second

	// maxTextQueue bounds the mailboxes that wait for the worker. One that finds
	// no room is looked at after its next change, or brought up to date by a
	// search.
	maxTextQueue = 10_000
)

// textWorker keeps the index of words up, mailbox by mailbox, and so slowly
// that nobody else notices.
type textWorker struct {
	t       *texts
	signal  chan struct{} // has room for one
	cancel  context.CancelFunc
	ended   chan struct{}
	unwatch func()
	pacer   textPacer

	mu      sync.Mutex
	queue   []storage.MailboxID // the one that has waited longest first
	waiting map[storage.MailboxID]bool
}

func startTextWorker(t *texts) *textWorker {
	ctx, cancel := context.WithCancel(context.Background())
	w := &textWorker{t: t, signal: make(chan struct{}, 1), cancel: cancel, ended: make(chan struct{}), waiting: make(map[storage.MailboxID]bool)}
	w.unwatch = t.s.WatchAll(func(_ string, c storage.Change) {
		t.changes.Add(1)
		if c.Mailbox != 0 {
			w.look(c.Mailbox)
		}
	})
	go w.run(ctx)
	return w
}

func (w *textWorker) stop() {
	w.unwatch()
	w.cancel()
	<-w.ended
}

// look has a mailbox looked at soon. It never waits.
func (w *textWorker) look(id storage.MailboxID) {
	w.mu.Lock()
	if len(w.queue) < maxTextQueue && !w.waiting[id] {
		w.queue = append(w.queue, id)
		w.waiting[id] = true
	}
	w.mu.Unlock()
	select {
	case w.signal <- struct{}{}:
	default:
	}
}

func (w *textWorker) run(ctx context.Context) {
	defer close(w.ended)
	w.pacer = textPacer{ctx: ctx, t: w.t}
	w.pacer.begin()
	w.begin(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.signal:
		}
		if sleep(ctx, textPause) != nil {
			return
		}
		w.round(ctx)
	}
}

// round looks at all mailboxes that wait.
func (w *textWorker) round(ctx context.Context) {
	w.mu.Lock()
	queue := w.queue
	w.queue, w.waiting = nil, make(map[storage.MailboxID]bool)
	w.mu.Unlock()
	w.pacer.begin()
	for _, id := range queue {
		w.visit(ctx, id)
	}
}

// begin looks at what may have happened while the store was closed: mailboxes
// of which only the index is left, and with TextAll all others.
func (w *textWorker) begin(ctx context.Context) {
	names, err := w.t.fs.List(w.t.dir)
	if err != nil {
		names = nil // there is no index yet
	}
	for _, name := range names {
		if id, err := strconv.ParseUint(name, 10, 64); err == nil {
			w.visit(ctx, storage.MailboxID(id))
		}
	}
	for from := uint64(0); w.t.mode == TextAll && ctx.Err() == nil; {
		ids, err := w.some(ctx, from)
		if err != nil || len(ids) == 0 {
			return
		}
		for _, id := range ids {
			w.visit(ctx, id)
		}
		from = uint64(ids[len(ids)-1]) + 1
	}
}

// some lists the mailboxes of the store from a number on, so many at a time.
func (w *textWorker) some(ctx context.Context, from uint64) (ids []storage.MailboxID, err error) {
	err = w.t.s.e.Scan(ctx, numberKey(keyState, from), []byte{keyState + 1}, func(k, _ []byte) error {
		if id, ok := number(k, 0); ok {
			ids = append(ids, storage.MailboxID(id))
		}
		if len(ids) == purgeBatch {
			return errEnough
		}
		return nil
	})
	if err == errEnough {
		err = nil
	}
	return ids, err
}

// visit brings the index of a mailbox up to date.
func (w *textWorker) visit(ctx context.Context, id storage.MailboxID) {
	if w.t.mode == TextSearched && !w.t.has(id) {
		return
	}
	b := w.t.pin(id)
	defer w.t.unpin(b)
	if b.fails() {
		return
	}
	err := w.update(ctx, b)
	if err != nil && ctx.Err() == nil && !errors.Is(err, storage.ErrClosed) {
		w.t.failed(id, err)
		b.later()
	}
}

func (w *textWorker) update(ctx context.Context, b *textBox) error {
	p := &w.pacer
	p.b = b
	if err := p.pause(); err != nil {
		return err
	}
	if err := b.take(ctx); err != nil {
		return err
	}
	defer b.give()
	st, err := w.t.s.state(b.id)
	if errors.Is(err, storage.ErrNoMailbox) {
		return b.removeAll()
	}
	if err != nil || !b.due(&st) {
		return err
	}
	if err := b.load(ctx); err != nil {
		return err
	}
	if st.next-1 > b.high()+textTail {
		m := &mailbox{account: &account{s: w.t.s}, id: b.id}
		if err := w.t.build(ctx, m, b, p); err != nil {
			return err
		}
	}
	return w.t.tidy(ctx, b, p)
}

// due reports whether there may be something to do in a mailbox, without
// reading its segments.
func (b *textBox) due(st *state) bool {
	if _, loaded := b.current(); loaded {
		return true
	}
	segments, _, err := b.list()
	high := uint32(0)
	if n := len(segments); n > 0 {
		high = segments[n-1].last
	}
	return err != nil || st.next-1 > high+textTail || len(segments) >= textMerge
}
