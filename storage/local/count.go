package local

import (
	"context"
	"errors"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/storage"
)

// errUncounted refuses a change, or a part of it, since it is not known what
// an account holds. The whole change is given up then with an *uncounted.
var errUncounted = errors.New("what the account holds is not known")

// uncounted is the accounts of which it has to be added up what they hold
// before a change can be built.
type uncounted struct {
	snap *engine.Snapshot // as the index stands when the entries are made
	load []*holding       // entries that this change has made
	wait []*holding       // entries that others have made
}

func (*uncounted) Error() string { return errUncounted.Error() }

// takeUncounted ends a Build that is given up.
func (o *op) takeUncounted() error {
	u := o.uncounted
	o.uncounted = nil
	return u
}

// counting commits a change, and once more when it had to be found out first
// what accounts hold. Those stay in memory until it returns.
func (s *Store) counting(ctx context.Context, commit func() error) error {
	var pinned []*holding
	defer func() { s.held.unpin(pinned) }()
	for {
		err := commit()
		u, ok := errors.AsType[*uncounted](err)
		if !ok {
			return err
		}
		pinned = append(append(pinned, u.load...), u.wait...)
		if err := s.count(ctx, u); err != nil {
			return err
		}
	}
}

// count adds up what accounts hold.
func (s *Store) count(ctx context.Context, u *uncounted) (err error) {
	for _, e := range u.load {
		var sum storage.Quota
		if err == nil {
			sum, err = sumOf(ctx, u.snap, e.id)
		}
		s.held.fill(e, sum, err)
	}
	if u.snap != nil {
		err = errors.Join(err, u.snap.Close())
	}
	for _, e := range u.wait {
		select {
		case <-e.loaded: // or not, if whoever loads it fails: then it is ours the next time
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

// sumOf adds up what the mailboxes of an account hold. Those that can't be read
// hold nothing: they keep no others from getting mail.
func sumOf(ctx context.Context, snap *engine.Snapshot, id accountID) (sum storage.Quota, err error) {
	err = snap.Scan(ctx, nameKey(keyName, id, ""), behind(keyName, uint64(id)), func(_, v []byte) error {
		b, err := parseBox(v)
		var st state
		if err == nil {
			st, err = getState(snap, b.id)
		}
		switch {
		case err == nil:
			sum = sum.Plus(holds(&st))
		case errors.Is(err, ErrDamaged) || errors.Is(err, storage.ErrNoMailbox):
			err = nil
		}
		return err
	})
	return sum, failure(err)
}

// holds returns what an account with a bound holds, as the changes built so
// far leave it. errUncounted when that has to be found out first.
func (t tx) holds(a tree, limit storage.Quota, settings *storage.Settings) (storage.Quota, error) {
	used, e, ok := t.s.held.building(a.id, limit, settings.Thresholds)
	switch {
	case ok:
		return used, nil
	case e == nil:
		return t.begin(a, limit, settings)
	}
	t.uncounted().wait = append(t.uncounted().wait, e)
	return used, errUncounted
}

// begin makes an entry for an account. One that is not on disk yet holds what
// the changes on their way add to it.
func (t tx) begin(a tree, limit storage.Quota, settings *storage.Settings) (storage.Quota, error) {
	rec, there, err := getAccount(t.s.e, a.user)
	if err != nil {
		return storage.Quota{}, err
	}
	e := &holding{tree: a, loaded: make(chan struct{}), limit: limit, thresholds: settings.Thresholds}
	for _, o := range t.s.pending.ops {
		for _, c := range o.boxes {
			if c.after.account == a.id {
				e.built = e.built.Plus(c.gain)
			}
		}
	}
	if !there || rec.id != a.id {
		e.known = true
		close(e.loaded)
		t.s.held.add(e)
		return e.built, nil
	}
	e.silent, e.pins = int(rec.silent), 1
	t.s.held.add(e)
	u := t.uncounted()
	if u.snap == nil {
		u.snap = t.s.e.Snapshot() // holds what was made, and nothing that is on its way
	}
	u.load = append(u.load, e)
	return storage.Quota{}, errUncounted
}

func (t tx) uncounted() *uncounted {
	if t.o.uncounted == nil {
		t.o.uncounted = new(uncounted)
	}
	return t.o.uncounted
}
