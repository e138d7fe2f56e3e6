package local

import "context"

// fixKept mends retained messages of which the body is not there, shorter than
// the message, or damaged.
func (r *repairer) fixKept(ctx context.Context, group []Damage) error {
	return r.commit(ctx, func(t tx) error {
		for _, d := range group {
			key := []byte(d.of.key)
			v, ok, err := t.Get(key)
			if err != nil {
				return err
			}
			k, err := parseKept(key, v)
			if !ok || err != nil {
				continue // it is gone, or removed as what can't be read
			}
			switch d.Kind {
			case DamageShortBody:
				k.size = int64(len(k.prefix)) + max(d.of.size-k.offset, 0)
				t.Set(key, k.append(nil))
				continue
			case DamageDamagedBody:
				t.unlink(&k.record)
			}
			t.forget(&k)
		}
		return nil
	})
}

// fixUndated lists retained messages by the time when they are over.
func (r *repairer) fixUndated(ctx context.Context, group []Damage) error {
	return r.commit(ctx, func(t tx) error {
		for _, d := range group {
			key := []byte(d.of.key)
			v, ok, err := t.Get(key)
			if err != nil {
				return err
			}
			if k, err := parseKept(key, v); ok && err == nil {
				t.keep(k)
			}
		}
		return nil
	})
}

// fixStrayKept lets the purger remove what an account left that is not there.
func (r *repairer) fixStrayKept(ctx context.Context, group []Damage) error {
	return r.commit(ctx, func(t tx) error {
		users, err := usersIn(t)
		if err != nil {
			return err
		}
		for _, d := range group {
			if users[d.of.account] == "" {
				t.Set(leftKey(d.of.account), nil)
			}
		}
		return nil
	})
}
