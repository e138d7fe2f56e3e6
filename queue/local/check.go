package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/message"
	storagelocal "github.com/posthouse-mail/posthouse/storage/local"
)

// What may be damaged of the queue. The comment says what is found; the
// damage's Repair says what Queue.Repair does about it.
const (
	DamageKey            storagelocal.DamageKind = "queue-key"             // a key that means nothing
	DamageMessage        storagelocal.DamageKind = "queue-message"         // a message's sender can't be read
	DamageNoMessage      storagelocal.DamageKind = "queue-no-message"      // recipients without a message
	DamageRecipient      storagelocal.DamageKind = "queue-recipient"       // a recipient can't be read
	DamageCount          storagelocal.DamageKind = "queue-count"           // a message counts its recipients wrong
	DamageNoEntry        storagelocal.DamageKind = "queue-no-entry"        // a recipient that nobody will come to
	DamageEntry          storagelocal.DamageKind = "queue-entry"           // a waiting entry of nobody
	DamageNoContent      storagelocal.DamageKind = "queue-no-content"      // a message's content is not there
	DamageContentSize    storagelocal.DamageKind = "queue-content-size"    // a message's content has another size
	DamageContentDamaged storagelocal.DamageKind = "queue-content-damaged" // a message's content is not what was written
)

// Inspection says what to do while a queue is looked at.
type Inspection struct {
	Report   func(storagelocal.Damage)
	Progress func(storagelocal.Progress) // nil: nobody wants to know

	of func(storagelocal.Damage, target) // in place of Report, for a repair
}

// Summary is what an inspection has seen.
type Summary struct {
	Messages, Recipients int64
	Octets               int64 // of the messages' contents
}

// Check is Inspect for those who want the damages as lines of text.
func (q *Queue) Check(ctx context.Context, report func(damage string)) error {
	_, err := q.Inspect(ctx, Inspection{Report: func(d storagelocal.Damage) { report(d.String()) }})
	return err
}

// Inspect walks through the whole queue as it stands at one moment and reports
// each damage: a record or a content that can't be read, a recipient that
// nobody will come to, a waiting entry of nobody, a count that is wrong. The
// error says that the walk itself failed. A context ends it early.
func (q *Queue) Inspect(ctx context.Context, in Inspection) (Summary, error) {
	if err := q.ready(ctx); err != nil {
		return Summary{}, err
	}
	s := q.engine.Snapshot()
	w := checkWalk{ctx: ctx, q: q, s: s, Inspection: in}
	err := errors.Join(w.messages(), w.entries(), s.Close())
	return w.sum, err
}

type checkWalk struct {
	Inspection
	ctx  context.Context
	q    *Queue
	s    *engine.Snapshot
	sum  Summary
	told time.Time

	message  *envelope // the one that is walked through; nil: it can't be read or there is none
	id       engine.BlobID
	met      uint32 // recipients of it
	left     int
	counting bool // it has a count of those left
}

// target is what a damage is of.
type target struct {
	id  engine.BlobID // of a message; 0: none
	key string        // of the index, of an entry or one that means nothing
}

// damage reports one of the message that is walked through.
func (w *checkWalk) damage(kind storagelocal.DamageKind, format string, args ...any) {
	w.found(kind, target{id: w.id}, fmt.Sprintf("queued message %d", w.id), fmt.Sprintf(format, args...))
}

func (w *checkWalk) found(kind storagelocal.DamageKind, of target, where, what string) {
	d := storagelocal.Damage{Kind: kind, Where: where, What: what, Repair: remedyOf(kind)}
	if w.of != nil {
		w.of(d, of)
		return
	}
	w.Report(d)
}

func (w *checkWalk) unknownKey(k []byte) {
	w.found(DamageKey, target{key: string(k)}, "queue", fmt.Sprintf("key %q means nothing", k))
}

// progress tells how many messages were looked at, ten times a second at most.
func (w *checkWalk) progress() {
	w.sum.Messages++
	if w.Progress != nil && time.Since(w.told) >= progressEvery {
		w.told = time.Now()
		w.Progress(storagelocal.Progress{Stage: "queue", Done: w.sum.Messages})
	}
}

const progressEvery = 100 * time.Millisecond

// messages looks at every message with its recipients.
func (w *checkWalk) messages() error {
	err := w.s.Scan(w.ctx, []byte{messagePrefix}, []byte{messagePrefix + 1}, func(k, v []byte) error {
		n, whole, ok := parseMessageKey(k)
		if !ok {
			w.unknownKey(k)
			return nil
		}
		if n.id != w.id {
			w.leave()
			w.id, w.message, w.met, w.counting = n.id, nil, 0, false
			if !whole {
				w.damage(DamageNoMessage, "recipients without a message")
			}
		}
		if whole {
			return w.enter(v)
		}
		return w.recipient(n, v)
	})
	w.leave()
	return err
}

// enter looks at a message and reads its content.
func (w *checkWalk) enter(v []byte) error {
	m, only, err := decodeMessage(v)
	if err != nil {
		w.damage(DamageMessage, "%v", err)
		return nil
	}
	w.progress()
	w.message = m
	if only != nil {
		if err := w.known(name{id: w.id}, only); err != nil {
			return err
		}
	}
	b, err := w.q.engine.Open(w.id)
	if errors.Is(err, engine.ErrNoBlob) {
		// It may have left the queue since the walk began.
		if _, still, err := w.q.engine.Get(messageKey(w.id)); err != nil || !still {
			return err
		}
	}
	switch {
	case errors.Is(err, engine.ErrNoBlob):
		w.damage(DamageNoContent, "the content is not there")
		return nil
	case err != nil:
		return w.content(err)
	}
	defer b.Close()
	w.sum.Octets += b.Size()
	if b.Size() != m.size {
		w.damage(DamageContentSize, "the content has %d octets, not %d", b.Size(), m.size)
	}
	_, err = io.Copy(io.Discard, message.NewReader(b))
	return cmp.Or(w.content(err), w.ctx.Err())
}

// content reports damage of a content, and returns other errors.
func (w *checkWalk) content(err error) error {
	if errors.Is(err, engine.ErrDamaged) {
		w.damage(DamageContentDamaged, "content: %v", err)
		return nil
	}
	return err
}

func (w *checkWalk) recipient(n name, v []byte) error {
	if n.number == leftNumber {
		left, ok := decodeLeft(v)
		if !ok {
			w.damage(DamageCount, "the count of recipients can't be read")
		}
		w.left, w.counting = left, ok
		return nil
	}
	r, err := decodeRecipient(v)
	if err != nil {
		w.met++
		w.damage(DamageRecipient, "recipient %d: %v", n.number, err)
		return nil
	}
	return w.known(n, r)
}

// known looks for the entry of a recipient.
func (w *checkWalk) known(n name, r *recipient) error {
	w.met++
	w.sum.Recipients++
	_, ok, err := w.s.Get(entryKey(r.destination, entry{r.due, n.id, n.number}))
	if err == nil && !ok {
		w.damage(DamageNoEntry, "recipient %d is in no destination", n.number)
	}
	return err
}

// leave compares counts when all of a message was met.
func (w *checkWalk) leave() {
	m := w.message
	switch {
	case m == nil:
	case m.total == 1 && w.met != 1, m.total > 1 && !w.counting:
		w.damage(DamageCount, "%d recipients of %d and no count", w.met, m.total)
	case m.total > 1 && w.left != int(w.met):
		w.damage(DamageCount, "%d recipients, counted as %d", w.met, w.left)
	}
	w.message = nil
}

// entries looks for a recipient behind every waiting entry.
func (w *checkWalk) entries() error {
	return w.s.Scan(w.ctx, []byte{destinationPrefix}, []byte{destinationPrefix + 1}, func(k, _ []byte) error {
		destination, e, ok := parseEntryKey(k)
		if !ok {
			w.unknownKey(k)
			return nil
		}
		r, err := w.find(e.name())
		if err != nil {
			return err
		}
		if r == nil {
			w.entry(k, destination, fmt.Sprintf("message %d has no recipient %d that can be read", e.id, e.number))
		} else if r.destination != string(destination) || r.due != e.due {
			w.entry(k, destination, fmt.Sprintf("message %d, recipient %d is elsewhere", e.id, e.number))
		}
		return nil
	})
}

func (w *checkWalk) entry(key, destination []byte, what string) {
	w.found(DamageEntry, target{key: string(key)}, fmt.Sprintf("destination %q", destination), what)
}

// find reads a recipient, wherever its record is; nil when there is none that
// can be read.
func (w *checkWalk) find(n name) (*recipient, error) {
	v, ok, err := w.s.Get(recipientKey(n.id, n.number))
	if err != nil {
		return nil, err
	}
	if ok {
		if r, bad := decodeRecipient(v); bad == nil {
			return r, nil
		}
		return nil, nil
	}
	v, ok, err = w.s.Get(messageKey(n.id))
	if err != nil || !ok || n.number != 0 {
		return nil, err
	}
	if _, r, bad := decodeMessage(v); bad == nil {
		return r, nil
	}
	return nil, nil
}
