package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// keptBatch is how many retained messages are read at a time.
const keptBatch = 500

// Retained yields what can be restored. It is read piece by piece, so that
// nothing is held for a slow reader: what is restored meanwhile may be missing.
func (a *account) Retained(ctx context.Context) iter.Seq2[storage.Retained, error] {
	return func(yield func(storage.Retained, error) bool) {
		err := a.retainer(ctx)
		for next := storage.RetainedID(0); err == nil; {
			var some []kept
			if some, err = a.someKept(ctx, next); err != nil || len(some) == 0 {
				break
			}
			next = some[len(some)-1].id + 1
			now := a.s.second()
			for i := range some {
				if some[i].until > now && !yield(some[i].retained(), nil) {
					return
				}
			}
		}
		if err != nil {
			yield(storage.Retained{}, err)
		}
	}
}

// retainer is what every method of the power asks first. Messages of mailboxes
// that were just deleted are retained when it returns.
func (a *account) retainer(ctx context.Context) error {
	if err := a.s.ready(ctx); err != nil {
		return err
	}
	if err := a.exists(a.s.e); err != nil {
		return err
	}
	return failure(a.s.purger.settle(ctx, a.id))
}

// someKept reads retained messages from a number on, without their prefixes.
// Those that are damaged are passed over, so that others can be restored.
func (a *account) someKept(ctx context.Context, from storage.RetainedID) (some []kept, err error) {
	err = a.s.e.Scan(ctx, keptKey(a.id, from), behind(keyKept, uint64(a.id)), func(key, v []byte) error {
		k, err := parseKept(key, v)
		if err != nil {
			a.s.log.Error("retained message can't be read", "user", a.user, "error", err)
			return nil
		}
		k.prefix = nil
		some = append(some, k)
		if len(some) == keptBatch {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return some, failure(err)
}

// OpenRetained returns a retained message's content.
func (a *account) OpenRetained(ctx context.Context, id storage.RetainedID) (message.OpenBody, error) {
	if err := a.retainer(ctx); err != nil {
		return nil, err
	}
	key := keptKey(a.id, id)
	v, ok, err := a.s.e.Get(key)
	if err != nil {
		return nil, failure(err)
	}
	if !ok {
		return nil, storage.ErrNoMessage
	}
	k, err := parseKept(key, v)
	if err == nil && k.until <= a.s.second() {
		return nil, storage.ErrNoMessage
	}
	var body message.OpenBody
	if err == nil {
		body, err = a.s.openRecord(&k.record)
	}
	if errors.Is(err, engine.ErrNoBlob) { // it was discarded since its record was read
		if _, ok, _ := a.s.e.Get(key); !ok {
			return nil, storage.ErrNoMessage
		}
	}
	if err != nil {
		return nil, fmt.Errorf("retained message %d of %q: %w", id, a.user, failure(err))
	}
	return message.JoinOpen(k.prefix, body), nil
}

// Restore puts retained messages back, with their references to bodies.
func (a *account) Restore(ctx context.Context, dest string, ids ...storage.RetainedID) (n int, err error) {
	if err := a.retainer(ctx); err != nil {
		return 0, err
	}
	if dest != "" {
		if dest, err = storage.CleanName(dest); err != nil {
			return 0, err
		}
	}
	err = a.commit(ctx, nil, func(t tx) error {
		g, err := t.account(a.tree)
		if err != nil {
			return err
		}
		n, err = g.restore(dest, ids)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// restored is the messages that go into one mailbox.
type restored struct {
	name string
	kind storage.Kind // if it has to be made
	msgs []record
}

func (g *grown) restore(dest string, ids []storage.RetainedID) (n int, err error) {
	all, err := g.take(ids)
	if err != nil {
		return 0, err
	}
	if len(all) == 0 {
		return 0, errNothing
	}
	var into []*restored
	byName := make(map[string]*restored)
	for i := range all {
		k := &all[i]
		home := restored{name: k.mailbox, kind: k.kind}
		if dest != "" {
			home = restored{name: dest}
		}
		r := byName[home.name]
		if r == nil {
			r = &home
			byName[r.name] = r
			into = append(into, r)
		}
		k.flags &^= storage.Deleted
		r.msgs = append(r.msgs, k.record)
	}
	before := g.accountRecord
	for _, r := range into {
		if err := g.putBack(r); err != nil {
			return 0, err
		}
	}
	if g.mailboxes != before.mailboxes {
		g.save()
	}
	return len(all), nil
}

// putBack adds messages to a mailbox, which is made if there is none.
func (g *grown) putBack(r *restored) error {
	b, ok, err := g.find(r.name)
	if err == nil && !ok {
		b.id, err = g.create(r.name, storage.NewMailbox{Kind: r.kind}, subscribed)
	}
	if err != nil {
		return err
	}
	st, err := g.state(b.id)
	if err == nil {
		err = g.tx.room(g.tree, &st, total(r.msgs))
	}
	if err == nil {
		_, err = g.add(b.id, st, r.msgs)
	}
	return err
}

// take removes retained messages whose time is not over and returns them, each
// once, by ascending number. What becomes of their references is the caller's.
func (g *grown) take(ids []storage.RetainedID) (all []kept, err error) {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	now := g.s.second()
	for _, id := range slices.Compact(ids) {
		k, ok, err := g.kept(g.tree.id, id)
		if err != nil {
			return nil, err
		}
		if ok && k.until > now {
			g.forget(&k)
			all = append(all, k)
		}
	}
	return all, nil
}

// Discard removes retained messages for good.
func (a *account) Discard(ctx context.Context, ids ...storage.RetainedID) (n int, err error) {
	if err := a.retainer(ctx); err != nil {
		return 0, err
	}
	err = a.commit(ctx, nil, func(t tx) error {
		g, err := t.account(a.tree)
		if err != nil {
			return err
		}
		all, err := g.take(ids)
		if n = len(all); err != nil || n == 0 {
			return cmp.Or(err, errNothing)
		}
		for i := range all {
			g.unlink(&all[i].record)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}
