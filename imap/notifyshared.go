package imap

import (
	"context"

	"github.com/posthouse-mail/posthouse/storage"
)

// maxNotifyOwners bounds the accounts of others that a session watches. Those
// that share something for the first time later on are not among them.
const maxNotifyOwners = 100

// patterns are those that LIST would need to find all mailboxes that groups are
// about.
func (n *notifier) patterns() []*listPattern {
	var all []*listPattern
	for i := range n.groups {
		g := &n.groups[i]
		if g.kind == filterSubscribed {
			all = append(all, newListPattern("*"))
		}
		for _, name := range g.names {
			all = append(all, newListPattern(name))
			if g.kind != filterMailboxes {
				all = append(all, newListPattern(name+storage.Separator+"*"))
			}
		}
	}
	return all
}

// eventsOf returns what the client wants to know of a mailbox.
func (s *session) eventsOf(n *notifier, info *storage.MailboxInfo) events {
	return n.eventsOf(info, s.locate(info.Name).owner == s.user)
}

// watchOthers watches the accounts of others that hold mailboxes which the
// client wants to know of.
func (s *session) watchOthers(ctx context.Context, n *notifier) error {
	seen := map[string]bool{s.user: true, "": true}
	for _, k := range n.known {
		owner := s.locate(k.info.Name).owner
		if k.events == 0 || seen[owner] {
			continue
		}
		if seen[owner] = true; len(n.stops) == maxNotifyOwners {
			return no("NOTIFICATIONOVERFLOW", "Too many accounts to watch")
		}
		f, err := s.foreign(ctx, owner)
		if err != nil {
			return err
		}
		if !f.missing {
			n.stops = append(n.stops, f.account.Watch(func(c storage.Change) { s.notice(ctx, c) }))
		}
	}
	return nil
}

// endNotify takes the session back to where it was without NOTIFY.
func (s *session) endNotify() {
	if n := s.notify.Swap(nil); n != nil {
		for _, stop := range n.stops {
			stop()
		}
	}
}
