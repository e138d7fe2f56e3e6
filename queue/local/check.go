package local

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/message"
)

// Check walks through the whole queue as it stands at one moment and reports
// each damage as a line of text that says what and where: a record or a
// content that can't be read, a recipient that nobody will come to, a waiting
// entry of nobody, a count that is wrong. The error says that the walk itself
// failed. A context ends it early.
func (q *Queue) Check(ctx context.Context, report func(damage string)) error {
	if err := q.ready(ctx); err != nil {
		return err
	}
	s := q.engine.Snapshot()
	w := checkWalk{ctx: ctx, q: q, s: s, report: report}
	return errors.Join(w.messages(), w.entries(), s.Close())
}

type checkWalk struct {
	ctx    context.Context
	q      *Queue
	s      *engine.Snapshot
	report func(string)

	message  *envelope // the one that is walked through; nil: it can't be read or there is none
	id       engine.BlobID
	met      uint32 // recipients of it
	left     int
	counting bool // it has a count of those left
}

func (w *checkWalk) damage(format string, args ...any) {
	w.report("queue: " + fmt.Sprintf(format, args...))
}

// messages looks at every message with its recipients.
func (w *checkWalk) messages() error {
	err := w.s.Scan(w.ctx, []byte{messagePrefix}, []byte{messagePrefix + 1}, func(k, v []byte) error {
		n, whole, ok := parseMessageKey(k)
		if !ok {
			w.damage("unknown key %x", k)
			return nil
		}
		if n.id != w.id {
			w.leave()
			w.id, w.message, w.met, w.counting = n.id, nil, 0, false
			if !whole {
				w.damage("message %d: recipients without a message", n.id)
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
		w.damage("message %d: %v", w.id, err)
		return nil
	}
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
	if err != nil {
		w.damage("message %d: content: %v", w.id, err)
		return nil
	}
	defer b.Close()
	if b.Size() != m.size {
		w.damage("message %d: content has %d octets, not %d", w.id, b.Size(), m.size)
	}
	if _, err := io.Copy(io.Discard, message.NewReader(b)); err != nil {
		w.damage("message %d: content: %v", w.id, err)
	}
	return w.ctx.Err()
}

func (w *checkWalk) recipient(n name, v []byte) error {
	if n.number == leftNumber {
		left, ok := decodeLeft(v)
		if !ok {
			w.damage("message %d: unreadable count of recipients", n.id)
		}
		w.left, w.counting = left, ok
		return nil
	}
	r, err := decodeRecipient(v)
	if err != nil {
		w.met++
		w.damage("message %d, recipient %d: %v", n.id, n.number, err)
		return nil
	}
	return w.known(n, r)
}

// known looks for the entry of a recipient.
func (w *checkWalk) known(n name, r *recipient) error {
	w.met++
	_, ok, err := w.s.Get(entryKey(r.destination, entry{r.due, n.id, n.number}))
	if err == nil && !ok {
		w.damage("message %d, recipient %d: it is in no destination", n.id, n.number)
	}
	return err
}

// leave compares counts when all of a message was met.
func (w *checkWalk) leave() {
	m := w.message
	switch {
	case m == nil:
	case m.total == 1 && w.met != 1, m.total > 1 && !w.counting:
		w.damage("message %d: %d recipients of %d and no count", w.id, w.met, m.total)
	case m.total > 1 && w.left != int(w.met):
		w.damage("message %d: %d recipients, counted as %d", w.id, w.met, w.left)
	}
	w.message = nil
}

// entries looks for a recipient behind every waiting entry.
func (w *checkWalk) entries() error {
	return w.s.Scan(w.ctx, []byte{destinationPrefix}, []byte{destinationPrefix + 1}, func(k, _ []byte) error {
		destination, e, ok := parseEntryKey(k)
		if !ok {
			w.damage("unknown key %x", k)
			return nil
		}
		r, err := w.find(e.name())
		if err != nil {
			return err
		}
		if r == nil {
			w.damage("destination %q: message %d has no recipient %d that can be read", destination, e.id, e.number)
		} else if r.destination != string(destination) || r.due != e.due {
			w.damage("destination %q: message %d, recipient %d is elsewhere", destination, e.id, e.number)
		}
		return nil
	})
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
