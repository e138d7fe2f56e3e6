package local

import (
	"strings"

	"github.com/posthouse-mail/posthouse/storage"
)

// room returns ErrOverQuota when messages have no room in a mailbox or in its
// account.
func (t tx) room(a tree, st *state, more storage.Quota) error {
	settings := t.s.settings(a.user)
	if err := fits(settings.MailboxQuota.Or(st.quota), holds(st), more); err != nil {
		return err
	}
	limit, err := t.limit(a, &settings)
	if err != nil || limit.Bytes <= 0 && limit.Messages <= 0 {
		return err
	}
	used, err := t.holds(a, limit, &settings)
	if err != nil {
		return err
	}
	return fits(limit, used, more)
}

// roomInBox is room in a mailbox alone.
func (t tx) roomInBox(user string, st *state, more storage.Quota) error {
	settings := t.s.settings(user)
	return fits(settings.MailboxQuota.Or(st.quota), holds(st), more)
}

// fits returns ErrOverQuota when messages are too many, or too much. How many
// mailboxes there are is no matter.
func fits(limit, used, more storage.Quota) error {
	used = used.Plus(more)
	used.Mailboxes = 0
	return limit.Check(used)
}

// total is what messages add.
func total(records []record) storage.Quota {
	q := storage.Quota{Messages: int64(len(records))}
	for i := range records {
		q.Bytes += records[i].size
	}
	return q
}

// limit returns what bounds an account. What is in memory is enough but for
// one whose tree is being changed, or that nothing was delivered to lately.
func (t tx) limit(a tree, settings *storage.Settings) (storage.Quota, error) {
	if k, ok := t.s.users.peek(a.user); ok && k.id == a.id && t.s.pending.trees[a.user] == 0 {
		return settings.Quota.Or(k.quota), nil
	}
	g, err := t.account(a)
	if err != nil {
		return storage.Quota{}, err
	}
	return settings.Quota.Or(g.quota), nil
}

// roomFor returns ErrOverQuota when n mailboxes can't come to a name and below
// it. They are new when from is empty, and move from there when it is not.
func (g *grown) roomFor(name, from string, n int) error {
	if g.over {
		return nil
	}
	settings, missing := g.s.settings(g.user), 0
	for i := strings.LastIndex(name, storage.Separator); i > 0; i = strings.LastIndex(name[:i], storage.Separator) {
		parent, more := name[:i], n
		if within(from, parent) {
			more = 0 // they are below it already
		}
		b, ok, err := g.find(parent)
		if err != nil {
			return err
		}
		if !ok {
			missing++
		}
		if err := g.roomBelow(parent, b.id, more+missing, &settings); err != nil {
			return err
		}
	}
	if from == "" {
		missing += n
	}
	limit := settings.Quota.Or(g.quota)
	if missing == 0 || limit.Mailboxes <= 0 {
		return nil
	}
	used, err := g.holds(g.tree, limit, &settings)
	if err != nil {
		return err
	}
	return limit.Check(storage.Quota{Mailboxes: used.Mailboxes + int64(missing)})
}

// roomBelow returns ErrOverQuota when a mailbox can't have so many more at and
// below its name. Its id is 0 when it is yet to be made.
func (g *grown) roomBelow(name string, id storage.MailboxID, more int, settings *storage.Settings) error {
	limit, has := settings.MailboxQuota, int64(0)
	if id != 0 {
		st, err := g.state(id)
		if err != nil {
			return err
		}
		limit, has = limit.Or(st.quota), 1
	}
	if limit.Mailboxes <= 0 || more == 0 {
		return nil
	}
	err := g.below(name, func(string, box) error {
		if has++; has > limit.Mailboxes {
			return errEnough
		}
		return nil
	})
	if err != nil && err != errEnough {
		return err
	}
	return limit.Check(storage.Quota{Mailboxes: has + int64(more)})
}
