package local

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// Rename moves a mailbox with its children.
func (a *account) Rename(ctx context.Context, from, to string) error {
	if err := a.s.ready(ctx); err != nil {
		return err
	}
	from, err := storage.CleanName(from)
	if err != nil {
		return storage.ErrNoMailbox
	}
	if from == storage.Inbox {
		return a.renameInbox(ctx, to)
	}
	return a.change(ctx, func(g *grown) error {
		b, ok, err := g.find(from)
		if err != nil || !ok {
			return cmp.Or(err, storage.ErrNoMailbox)
		}
		to, err := g.free(to)
		if err != nil {
			return err
		}
		if within(to, from) {
			return fmt.Errorf("%w: below itself", storage.ErrBadName)
		}
		return g.renameAll(from, to, b)
	})
}

// free returns the clean form of a name that no mailbox has.
func (g *grown) free(name string) (string, error) {
	name, err := storage.CleanName(name)
	if err != nil {
		return "", err
	}
	if _, ok, err := g.find(name); err != nil || ok {
		return "", cmp.Or(err, storage.ErrMailboxExists)
	}
	return name, nil
}

func (g *grown) renameAll(from, to string, b box) error {
	type line struct {
		name string
		box
	}
	lines := []line{{from, b}}
	err := g.below(from, func(name string, b box) error {
		lines = append(lines, line{name, b})
		_, err := storage.CleanName(to + name[len(from):])
		return err
	})
	if err != nil {
		return err
	}
	if err := g.room(strings.Count(to, storage.Separator)); err != nil {
		return err
	}
	if _, err := g.kindUnder(to, b.kind); err != nil {
		return err
	}
	if err := g.roomFor(to, from, len(lines)); err != nil {
		return err
	}
	if err := g.createParents(to, b.kind); err != nil {
		return err
	}
	for _, l := range lines {
		if err := g.rename(l.name, to+l.name[len(from):], l.box); err != nil {
			return err
		}
	}
	return nil
}

// renameInbox moves the messages of INBOX to a new mailbox.
func (a *account) renameInbox(ctx context.Context, to string) error {
	found, err := a.Mailbox(ctx, storage.Inbox)
	if err != nil {
		return err
	}
	inbox := found.(*mailbox)
	p, err := inbox.pick(ctx, imap.UIDSet{{Start: 1, Stop: 0}})
	if err != nil {
		return err
	}
	defer p.release()
	return a.change(ctx, func(g *grown) error {
		to, err := g.free(to)
		if err != nil {
			return err
		}
		id, err := g.create(to, storage.NewMailbox{Kind: storage.Mail}, unsubscribed)
		if err != nil {
			return err
		}
		st, now, err := inbox.current(g.tx)
		if err != nil {
			return err
		}
		all, err := p.records(g.tx, now)
		if err != nil || len(all) == 0 {
			return err
		}
		fresh, err := g.state(id)
		if err != nil {
			return err
		}
		if err := g.roomInBox(g.user, &fresh, total(all)); err != nil {
			return err
		}
		if err := g.copyTo(id, fresh, all, new(storage.Copied)); err != nil {
			return err
		}
		_, err = g.expunge(inbox.id, st, now, all)
		return err
	})
}
