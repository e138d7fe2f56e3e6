package local

import (
	"context"
	"fmt"

	"github.com/posthouse-mail/posthouse/storage"
)

// purgeBatch is how many messages, or other keys, one change of the purger removes.
const purgeBatch = 500

// purger removes what deleted mailboxes leave behind, in small changes, so
// that deleting a large mailbox keeps nobody waiting. What it does not finish
// goes on when the store is opened again.
type purger struct {
	s      *Store
	signal chan struct{} // has room for one
	cancel context.CancelFunc
	ended  chan struct{}
}

func startPurger(s *Store) *purger {
	ctx, cancel := context.WithCancel(context.Background())
	p := &purger{s: s, signal: make(chan struct{}, 1), cancel: cancel, ended: make(chan struct{})}
	go p.run(ctx)
	p.wake()
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
	<-p.ended
}

func (p *purger) run(ctx context.Context) {
	defer close(p.ended)
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.signal:
		}
		if err := p.purge(ctx); err != nil && ctx.Err() == nil {
			p.s.log.Error("deleted mailboxes can't be cleared away now", "error", err)
		}
	}
}

// purge clears all deleted mailboxes away.
func (p *purger) purge(ctx context.Context) error {
	var doomed []storage.MailboxID
	err := p.s.e.Scan(ctx, []byte{keyDoomed}, []byte{keyDoomed + 1}, func(k, _ []byte) error {
		n, ok := number(k, 0)
		if !ok {
			return nil
		}
		// One that has a state is damage, see Repair, and no reason to lose mail.
		_, there, err := p.s.e.Get(stateKey(storage.MailboxID(n)))
		if !there {
			doomed = append(doomed, storage.MailboxID(n))
		}
		return err
	})
	for _, id := range doomed {
		if err == nil {
			err = p.mailbox(ctx, id)
		}
	}
	return err
}

// mailbox clears one mailbox away. Nobody else changes it any more, so it can
// be read outside of the changes.
func (p *purger) mailbox(ctx context.Context, id storage.MailboxID) error {
	for {
		gone, err := p.someMessages(ctx, id)
		if err != nil {
			return fmt.Errorf("mailbox %d: %w", id, err)
		}
		if len(gone) == 0 {
			break
		}
		err = p.s.e.Commit(ctx, p.s.change(nil, func(t tx) error {
			for i := range gone {
				t.unlink(&gone[i])
				t.Delete(messageKey(id, gone[i].uid))
			}
			return nil
		}))
		if err != nil {
			return err
		}
	}
	for _, kind := range [...]byte{keyPage, keyExpunged} {
		if err := p.keys(ctx, kind, id); err != nil {
			return err
		}
	}
	if err := p.s.e.PutCache(recentKey(id), nil); err != nil {
		return err
	}
	return p.s.e.Commit(ctx, p.s.change(nil, func(t tx) error { t.Delete(doomedKey(id)); return nil }))
}

func (p *purger) someMessages(ctx context.Context, id storage.MailboxID) (gone []record, err error) {
	err = p.s.e.Scan(ctx, messageKey(id, 0), behind(keyMessage, uint64(id)), func(k, v []byte) error {
		if len(gone) == purgeBatch {
			return errEnough
		}
		m, err := parseMessage(k, v)
		m.prefix = nil
		gone = append(gone, m)
		return err
	})
	if err == errEnough {
		err = nil
	}
	return gone, err
}

// keys removes all keys of one kind.
func (p *purger) keys(ctx context.Context, kind byte, id storage.MailboxID) error {
	for {
		var keys [][]byte
		err := p.s.e.Scan(ctx, numberKey(kind, uint64(id)), behind(kind, uint64(id)), func(k, _ []byte) error {
			if len(keys) == purgeBatch {
				return errEnough
			}
			keys = append(keys, append([]byte(nil), k...))
			return nil
		})
		if err != nil && err != errEnough || len(keys) == 0 {
			return err
		}
		err = p.s.e.Commit(ctx, p.s.change(nil, func(t tx) error {
			for _, k := range keys {
				t.Delete(k)
			}
			return nil
		}))
		if err != nil {
			return err
		}
	}
}
