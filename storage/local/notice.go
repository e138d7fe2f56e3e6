package local

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/posthouse-mail/posthouse/storage"
)

// maxNotices bounds the accounts that wait to be looked at. One that finds no
// room is looked at after its next change.
const maxNotices = 10_000

// notices looks at accounts whose changes may have taken them to another
// threshold of their quota, one after the other and outside of the changes.
type notices struct {
	s      *Store
	signal chan struct{} // has room for one
	cancel context.CancelFunc
	ended  chan struct{}

	mu      sync.Mutex
	users   []string        // the one that has waited longest first
	waiting map[string]bool // the same
}

func startNotices(s *Store) *notices {
	ctx, cancel := context.WithCancel(context.Background())
	n := &notices{s: s, signal: make(chan struct{}, 1), cancel: cancel, ended: make(chan struct{}), waiting: make(map[string]bool)}
	go n.run(ctx)
	return n
}

// look has an account looked at soon. It never waits.
func (n *notices) look(user string) {
	if n == nil {
		return
	}
	n.mu.Lock()
	if len(n.users) < maxNotices && !n.waiting[user] {
		n.users = append(n.users, user)
		n.waiting[user] = true
	}
	n.mu.Unlock()
	select {
	case n.signal <- struct{}{}:
	default:
	}
}

func (n *notices) stop() {
	if n != nil {
		n.cancel()
		<-n.ended
	}
}

func (n *notices) run(ctx context.Context) {
	defer close(n.ended)
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.signal:
		}
		n.mu.Lock()
		users := n.users
		n.users, n.waiting = nil, make(map[string]bool)
		n.mu.Unlock()
		for _, user := range users {
			err := n.account(ctx, user)
			switch {
			case ctx.Err() != nil || errors.Is(err, storage.ErrClosed):
				return
			case err != nil && !errors.Is(err, storage.ErrNoMailbox) && !errors.Is(err, storage.ErrFrozen):
				n.s.log.Error("threshold of a quota can't be looked at now", "account", user, "error", err)
			}
		}
	}
}

// account looks at one account. What it finds is made durable before anybody
// is told.
func (n *notices) account(ctx context.Context, user string) error {
	rec, ok, err := getAccount(n.s.e, user)
	if err != nil || !ok {
		return err
	}
	settings := n.s.settings(user)
	limit := settings.Quota.Or(rec.quota)
	used, err := n.s.used(ctx, tree{user, rec.id}, limit, &settings)
	if err != nil {
		return err
	}
	threshold, now := settings.Reached(limit.Percent(used)), n.s.options.Now()
	tell := false
	err = n.s.commit(ctx, nil, func(t tx) error {
		g, err := t.account(tree{user, rec.id})
		if err != nil {
			return err
		}
		if tell, ok = g.reach(uint32(threshold), settings.NoticeEvery, now); !ok {
			return errNothing
		}
		g.s.value = g.accountRecord.append(g.s.value[:0])
		g.Set(accountKey(user), g.s.value) // nothing that sessions see has changed
		rec = g.accountRecord
		return nil
	})
	if err != nil {
		return err
	}
	n.s.held.silence(rec.id, rec.silent)
	if tell {
		n.s.options.Notice(storage.Notice{User: user, Threshold: threshold, Limit: limit, Used: used})
	}
	return nil
}

// reach notes the threshold that an account is at, 0 when it is below all, and
// says whether a notice is to be given. changed is false when all is as it was.
func (a *accountRecord) reach(threshold uint32, every time.Duration, now time.Time) (tell, changed bool) {
	switch {
	case threshold == a.silent:
		return false, false
	case threshold < a.silent:
		a.silent = threshold
		return false, true
	case threshold <= a.threshold && now.Sub(time.Unix(a.noticed, 0)) < every:
		return false, false
	}
	a.silent, a.threshold, a.noticed = threshold, threshold, now.Unix()
	return true, true
}
