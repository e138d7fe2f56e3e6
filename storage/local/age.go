package local

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

const (
	firstPurge = 10 * time.Minute // after the store was opened
	purgeEvery = 24 * time.Hour
	userBatch  = 200 // accounts that are read at a time
)

// purgeDaily purges by age: a while after the store was opened and then once a
// day, so that a message goes at most a day late.
func (p *purger) purgeDaily(ctx context.Context) {
	timer := time.NewTimer(firstPurge)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		begun := time.Now()
		n, err := p.purge(ctx, &pacer{since: begun})
		if err != nil {
			p.failed(ctx, "old messages can't be purged now", err)
		}
		if n > 0 {
			p.s.log.Info("old messages were purged", "messages", n)
		}
		timer.Reset(max(purgeEvery-time.Since(begun), firstPurge))
	}
}

// Purge expunges what the settings of the domains want purged by age, and
// forgets retained messages whose time is over. The store does both in the
// background too, the first once a day.
func (s *Store) Purge(ctx context.Context) (n int, err error) {
	if err := s.ready(ctx); err != nil {
		return 0, err
	}
	n, err = s.purger.purge(ctx, nil)
	if err == nil {
		_, err = s.purger.expire(ctx)
	}
	return n, failure(err)
}

// pacer makes work in the background rest as long as it has worked. A nil pacer
// is in a hurry.
type pacer struct{ since time.Time }

func (p *pacer) rest(ctx context.Context) error {
	if p == nil {
		return ctx.Err()
	}
	timer := time.NewTimer(min(time.Since(p.since), time.Second))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
	}
	p.since = time.Now()
	return nil
}

// purge goes through all accounts. What can't be purged keeps no other account.
func (p *purger) purge(ctx context.Context, pace *pacer) (n int, err error) {
	from := []byte{keyAccount}
	for {
		var users []tree
		scan := p.s.e.Scan(ctx, from, []byte{keyAccount + 1}, func(k, v []byte) error {
			from = append(append(from[:0], k...), 0)
			if rec, err := parseAccount(v); err == nil && len(p.s.rules(string(k[1:]))) > 0 && p.s.thawed(string(k[1:])) == nil {
				users = append(users, tree{string(k[1:]), rec.id})
			}
			if len(users) == userBatch {
				return errEnough
			}
			return nil
		})
		for _, u := range users {
			if ctx.Err() != nil {
				return n, ctx.Err()
			}
			purged, failed := p.s.purgeAccount(ctx, u, pace)
			n += purged
			if failed != nil {
				err = errors.Join(err, fmt.Errorf("account %q: %w", u.user, failed))
			}
		}
		if !errors.Is(scan, errEnough) {
			return n, errors.Join(err, scan)
		}
		if stopped := pace.rest(ctx); stopped != nil {
			return n, stopped
		}
	}
}

// rules are what the domain of a user wants purged.
func (s *Store) rules(user string) []storage.Purge {
	return s.options.Settings(storage.Domain(user)).Purge
}

// purgeAccount expunges what is too old in one account.
func (s *Store) purgeAccount(ctx context.Context, u tree, pace *pacer) (n int, err error) {
	type aged struct {
		mailbox
		age time.Duration
	}
	var list []aged
	rules, a := s.rules(u.user), &account{s, u}
	err = s.e.Scan(ctx, nameKey(keyName, u.id, ""), behind(keyName, uint64(u.id)), func(k, v []byte) error {
		b, err := parseBox(v)
		if age := ageOf(b.attrs, rules); err == nil && age > 0 {
			list = append(list, aged{mailbox{account: a, id: b.id, kind: b.kind, name: string(k[9:])}, age})
		}
		return err
	})
	for i := range list {
		if err == nil {
			var purged int
			purged, err = list[i].purge(ctx, list[i].age, pace)
			n += purged
		}
	}
	return n, err
}

// ageOf returns how long messages stay in a mailbox, 0 for as long as they may.
func ageOf(attrs []imap.MailboxAttr, rules []storage.Purge) (age time.Duration) {
	for _, r := range rules {
		for _, attr := range attrs {
			if strings.EqualFold(string(attr), string(r.Attr)) && r.Age > 0 && (age == 0 || r.Age < age) {
				age = r.Age
			}
		}
	}
	return age
}

// purge expunges what came longer ago than an age.
func (m *mailbox) purge(ctx context.Context, age time.Duration, pace *pacer) (n int, err error) {
	st, err := m.s.state(m.id)
	if err != nil || st.messages == 0 {
		return 0, unlessGone(err)
	}
	for from := uint32(1); ; {
		old, err := m.older(ctx, from, age)
		if err != nil || len(old) == 0 {
			return n, err
		}
		removed, err := m.Expunge(ctx, imap.UIDSetNum(old...))
		for _, r := range removed {
			n += int(r.Stop-r.Start) + 1
		}
		if err == nil {
			err = pace.rest(ctx)
		}
		if err != nil {
			return n, unlessGone(err)
		}
		from = uint32(old[len(old)-1]) + 1
	}
}

// unlessGone is nil for the error of a mailbox that was deleted meanwhile, or
// of which the account was frozen.
func unlessGone(err error) error {
	if errors.Is(err, storage.ErrNoMailbox) || errors.Is(err, storage.ErrFrozen) {
		return nil
	}
	return err
}

// older returns some messages, from a UID on, that came longer ago than an age.
//
// Messages have the order of their save dates, so it stops at the first that is
// young. Only a clock that was set can spoil the order: a date that is still to
// come is passed over, and else what is behind a younger message stays at most
// for as long as that one, which is less than age too long.
func (m *mailbox) older(ctx context.Context, from uint32, age time.Duration) (old []imap.UID, err error) {
	now := m.s.second()
	most := now - int64((age+time.Second-1)/time.Second)
	err = m.s.e.Scan(ctx, messageKey(m.id, from), behind(keyMessage, uint64(m.id)), func(k, v []byte) error {
		rec, err := parseMessage(k, v)
		switch {
		case err != nil:
			return err
		case rec.saved == 0 || rec.saved > now:
			return nil
		case rec.saved > most || len(old) == purgeBatch:
			return errEnough
		}
		old = append(old, imap.UID(rec.uid))
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return old, err
}
