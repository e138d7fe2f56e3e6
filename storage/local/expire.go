package local

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/storage"
)

const (
	expirePause = time.Minute // between two looks for retained messages whose time is over
	expireEvery = time.Hour   // at the latest, for a clock that was set
)

// due is a retained message that is to be removed.
type due struct {
	account accountID
	id      storage.RetainedID
	until   int64 // as its key says; 0: not known
}

// expect tells the purger that something is retained until a time, which is 0
// when nothing is.
func (p *purger) expect(until int64) {
	if until > 0 && until < p.due.Load() {
		p.wake()
	}
}

// expire removes the retained messages whose time is over. It returns when that
// of the next one is, in seconds since 1970.
func (p *purger) expire(ctx context.Context) (next int64, err error) {
	from := []byte{keyDue}
	for {
		now := p.s.second()
		var batch []due
		next = math.MaxInt64
		err := p.s.e.Scan(ctx, from, []byte{keyDue + 1}, func(k, v []byte) error {
			until, _ := number(k, 0)
			id, ok := number(k, 8)
			if !ok || len(v) != 8 {
				return nil // Check reports it
			}
			if int64(until) > now || len(batch) == purgeBatch {
				next = int64(until)
				return errEnough
			}
			batch = append(batch, due{accountID(binary.BigEndian.Uint64(v)), storage.RetainedID(id), int64(until)})
			from = append(append(from[:0], k...), 0)
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			return now, err
		}
		if len(batch) == 0 {
			return next, nil
		}
		if err := p.remove(ctx, batch); err != nil {
			return now, err
		}
	}
}

// remove removes retained messages, as one change unless one of them is
// damaged, which must not keep the others.
func (p *purger) remove(ctx context.Context, batch []due) error {
	err := p.commit(ctx, func(t tx) error {
		for _, d := range batch {
			if err := t.discard(d); err != nil {
				return err
			}
		}
		return nil
	})
	if !errors.Is(err, ErrDamaged) && !errors.Is(err, engine.ErrNoBlob) {
		return err
	}
	for _, d := range batch {
		err := p.commit(ctx, func(t tx) error { return t.discard(d) })
		if errors.Is(err, ErrDamaged) || errors.Is(err, engine.ErrNoBlob) {
			p.s.log.Error("retained message is damaged and can't be removed", "account", d.account, "message", d.id, "error", err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// discard removes a retained message, unless it was restored meanwhile.
func (t tx) discard(d due) error {
	k, ok, err := t.kept(d.account, d.id)
	if err != nil {
		return err
	}
	if !ok || k.until != d.until {
		t.Delete(dueKey(d.until, d.id))
	}
	if !ok {
		return nil
	}
	t.forget(&k)
	t.unlink(&k.record)
	return nil
}
