package local

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/posthouse-mail/posthouse/storage"
)

// purgeBatch is how many messages, or other keys, one change of the purger removes.
const purgeBatch = 500

// purger removes in small changes, so that nobody has to wait for it, what
// deleted mailboxes and removed accounts leave behind, retained messages whose
// time is over, and what the domains' settings want purged by age. What it does
// not finish goes on when the store is opened again.
type purger struct {
	s      *Store
	signal chan struct{} // has room for one
	turn   chan struct{} // has room for one: who is clearing a mailbox away
	due    atomic.Int64  // when it looks next for retained messages to remove, in seconds since 1970
	cancel context.CancelFunc
	ended  sync.WaitGroup
}

func startPurger(s *Store) *purger {
	ctx, cancel := context.WithCancel(context.Background())
	p := &purger{s: s, signal: make(chan struct{}, 1), turn: make(chan struct{}, 1), cancel: cancel}
	p.ended.Go(func() { p.run(ctx) })
	p.ended.Go(func() { p.purgeDaily(ctx) })
	return p
}

func (p *purger) wake() {
	select {
	case p.signal <- struct{}{}:
	default:
	}
}

func (p *purger) stop() {
	p.cancel()
	p.ended.Wait()
}

// run clears away whenever it is woken or something is due.
func (p *purger) run(ctx context.Context) {
	for ctx.Err() == nil {
		timer := time.NewTimer(p.round(ctx))
		select {
		case <-ctx.Done():
		case <-p.signal:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// round clears everything away that is to go now. It returns how long nothing
// more needs to be done.
func (p *purger) round(ctx context.Context) time.Duration {
	if err := p.clear(ctx); err != nil {
		p.failed(ctx, "deleted mail can't be cleared away now", err)
	}
	p.due.Store(math.MaxInt64) // whoever retains something from here on wakes the purger
	next, err := p.expire(ctx)
	if err != nil {
		p.failed(ctx, "retained messages can't be removed now", err)
	}
	now := p.s.second()
	// What is due is as good as gone, so it can wait until there is more of it.
	pause := min(max(next-now, int64(expirePause/time.Second)), int64(expireEvery/time.Second))
	p.due.Store(now + pause)
	return time.Duration(pause) * time.Second
}

// failed logs an error that is not just the end of the store.
func (p *purger) failed(ctx context.Context, text string, err error) {
	if ctx.Err() == nil && !errors.Is(failure(err), storage.ErrClosed) {
		p.s.log.Error(text, "error", err)
	}
}

// clear clears all deleted mailboxes and removed accounts away.
func (p *purger) clear(ctx context.Context) error {
	if err := p.arrivals(ctx); err != nil {
		return err
	}
	// The accounts are listed first: all mailboxes of theirs are listed then.
	accounts, err := p.numbers(ctx, keyLeft)
	if err != nil {
		return err
	}
	mailboxes, err := p.numbers(ctx, keyDoomed)
	if err != nil {
		return err
	}
	for _, id := range mailboxes {
		if p.s.arriving.hasBox(storage.MailboxID(id)) {
			continue
		}
		// One that has a state is damage, see Repair, and no reason to lose mail.
		_, there, failed := p.s.e.Get(stateKey(storage.MailboxID(id)))
		if failed == nil && !there {
			failed = p.mailbox(ctx, storage.MailboxID(id))
		}
		err = errors.Join(err, failed)
	}
	for _, id := range accounts {
		if err == nil && !p.s.arriving.hasAccount(accountID(id)) {
			err = p.account(ctx, accountID(id))
		}
	}
	return err
}

// numbers lists the keys of one kind that goes by number.
func (p *purger) numbers(ctx context.Context, kind byte) (list []uint64, err error) {
	err = p.s.e.Scan(ctx, []byte{kind}, []byte{kind + 1}, func(k, _ []byte) error {
		if id, ok := number(k, 0); ok {
			list = append(list, id)
		}
		return nil
	})
	return list, err
}

// mailbox clears one mailbox away. Nobody else changes it any more, so it can
// be read outside of the changes; several may do this at once.
func (p *purger) mailbox(ctx context.Context, id storage.MailboxID) error {
	for {
		n, err := p.someMessages(ctx, id)
		if err != nil {
			return fmt.Errorf("mailbox %d: %w", id, err)
		}
		if n == 0 {
			break
		}
	}
	for _, kind := range [...]byte{keyPage, keyExpunged, keyBoxNote} {
		if err := p.keys(ctx, kind, uint64(id)); err != nil {
			return err
		}
	}
	if err := p.s.e.PutCache(recentKey(id), nil); err != nil {
		return err
	}
	return p.commit(ctx, func(t tx) error { t.Delete(doomedKey(id)); return nil })
}

// commit makes a change, also while the store is being closed.
func (p *purger) commit(ctx context.Context, build func(tx) error) error {
	return p.s.e.Commit(ctx, p.s.change(nil, build))
}

// keys removes all keys of one kind that begin with a number.
func (p *purger) keys(ctx context.Context, kind byte, id uint64) error {
	for {
		var keys [][]byte
		err := p.s.e.Scan(ctx, numberKey(kind, id), behind(kind, id), func(k, _ []byte) error {
			if len(keys) == purgeBatch {
				return errEnough
			}
			keys = append(keys, append([]byte(nil), k...))
			return nil
		})
		if err != nil && err != errEnough || len(keys) == 0 {
			return err
		}
		err = p.commit(ctx, func(t tx) error {
			for _, k := range keys {
				t.Delete(k)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}

// account removes all retained messages of a removed account.
func (p *purger) account(ctx context.Context, id accountID) error {
	for from := storage.RetainedID(0); ; {
		var batch []due
		err := p.s.e.Scan(ctx, keptKey(id, from), behind(keyKept, uint64(id)), func(k, _ []byte) error {
			if n, ok := number(k, 8); ok {
				batch = append(batch, due{account: id, id: storage.RetainedID(n)})
			}
			if len(batch) == purgeBatch {
				return errEnough
			}
			return nil
		})
		if err != nil && err != errEnough {
			return err
		}
		if len(batch) == 0 {
			break
		}
		if err := p.remove(ctx, batch); err != nil {
			return err
		}
		from = batch[len(batch)-1].id + 1
	}
	// What is left is damaged, and nobody can ask for it any more.
	if err := p.keys(ctx, keyKept, uint64(id)); err != nil {
		return err
	}
	return p.commit(ctx, func(t tx) error { t.Delete(leftKey(id)); return nil })
}
