package imap

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/posthouse-mail/posthouse/storage"
)

// notifier is what NOTIFY made a session watch. Its groups never change.
type notifier struct {
	groups   []eventGroup
	selected eventGroup // of the selected mailbox; zero: nothing is to be told
	known    map[storage.MailboxID]known
	server   noted        // annotations of the server, when they are watched
	seed     maphash.Seed // of values in noted

	stops []func() // end the watches of accounts of others

	mu       sync.Mutex
	pending  map[storage.MailboxID]struct{} // mailboxes that changed
	list     bool                           // the list of mailboxes changed
	overflow bool                           // more changed than is kept
}

// known is what the client was last told of a mailbox that it watches.
type known struct {
	info    storage.MailboxInfo
	events  events
	counted bool // status is known
	status  storage.Status
	notes   noted // annotations, when they are watched
}

// watching reports whether the client waits for anything but answers.
func (n *notifier) watching() bool { return n != nil && len(n.groups) > 0 }

// note keeps a change until it is told.
func (n *notifier) note(c storage.Change) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case c.Mailbox == 0:
		n.list = true
	case len(n.pending) >= maxNotifyPending:
		n.overflow = true
	default:
		if n.pending == nil {
			n.pending = make(map[storage.MailboxID]struct{})
		}
		n.pending[c.Mailbox] = struct{}{}
	}
}

// take returns what was noted and forgets it.
func (n *notifier) take() (ids []storage.MailboxID, list, overflow bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	ids, list, overflow = slices.Sorted(maps.Keys(n.pending)), n.list, n.overflow
	n.pending, n.list = nil, false
	return ids, list, overflow
}

// eventsOf returns what the client wants to know of a mailbox: what the first
// group says that is about it (RFC 5465 §6).
func (n *notifier) eventsOf(info *storage.MailboxInfo, personal bool) events {
	for i := range n.groups {
		if g := &n.groups[i]; !g.ofSelected() && g.covers(info, personal) {
			return g.events
		}
	}
	return 0
}

// beginNotify takes down how things stand, so that what changes can be told
// from it. It returns the mailboxes whose messages are watched.
func (s *session) beginNotify(ctx context.Context, n *notifier) (watched []known, err error) {
	infos, err := s.reachable(ctx, n.patterns())
	if err != nil {
		return nil, err
	}
	if len(infos) > maxNotifyWatching {
		return nil, no("NOTIFICATIONOVERFLOW", "Too many mailboxes to watch")
	}
	for _, info := range infos {
		k := known{info: info, events: s.eventsOf(n, &info)}
		if k.events&messageEvents != 0 && info.ID != 0 {
			k.status, err = s.statusOf(ctx, info.Name)
			if k.counted = err == nil; k.counted {
				watched = append(watched, k)
			} else if ifThere(err) != nil && !errors.Is(err, errNoPerm) {
				return nil, err
			}
		}
		n.keep(k)
	}
	if err := errors.Join(s.watchOthers(ctx, n), s.beginNoted(ctx, n)); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(watched, func(k known) bool { return uint64(k.info.ID) == s.selected.Load() }), nil
}

// keep remembers a mailbox. Names that are only subscribed have no events.
func (n *notifier) keep(k known) {
	if k.info.ID != 0 {
		n.known[k.info.ID] = k
	}
}

func (s *session) statusOf(ctx context.Context, name string) (storage.Status, error) {
	box, err := s.mailbox(ctx, name, storage.RightRead)
	if err != nil {
		return storage.Status{}, err
	}
	return box.Status(ctx)
}

// tellNotes tells what was noted since the last time.
func (s *session) tellNotes(ctx context.Context) {
	n := s.notify.Load()
	if !n.watching() {
		return
	}
	ids, list, overflow := n.take()
	if overflow { // RFC 5465 §5.8: from here on it is as if nothing had been asked for
		s.endNotify()
		s.out.status("*", "OK", "NOTIFICATIONOVERFLOW", "Too much has changed, NOTIFY is off")
		return
	}
	var err error
	if list {
		err = s.tellList(ctx, n)
	}
	for _, id := range ids {
		if k, ok := n.known[id]; ok && uint64(id) != s.selected.Load() && k.events&messageEvents != 0 {
			err = errors.Join(err, s.tellMessages(ctx, n, k))
		}
	}
	if err != nil && ctx.Err() == nil {
		s.log(ctx, slog.LevelWarn, "NOTIFY could not tell all", err)
	}
}

// tellMessages tells that messages of a mailbox which is not selected changed.
func (s *session) tellMessages(ctx context.Context, n *notifier, k known) error {
	st, err := s.statusOf(ctx, k.info.Name)
	if errors.Is(err, errNoPerm) || ifThere(err) == nil && err != nil {
		return nil // told by the list, or not for the user
	} else if err != nil {
		return err
	}
	numbers := !k.counted || st.UIDNext != k.status.UIDNext || st.Messages != k.status.Messages
	news := numbers || k.events&flagChange != 0 && st.HighestModSeq != k.status.HighestModSeq
	k.status, k.counted = st, true
	n.keep(k)
	if news {
		s.tellNotifyStatus(k)
	}
	return nil
}

// tellNotifyStatus sends STATUS with what the events are about (RFC 5465 §5.1
// to §5.3).
func (s *session) tellNotifyStatus(k known) {
	items := []string{"MESSAGES", "UIDNEXT", "UIDVALIDITY"}
	if k.events&flagChange != 0 {
		items = append(items, "UNSEEN")
	}
	s.writeStatus(k.info.Name, items, &tally{Status: k.status, id: k.info.ID})
}

// tellList tells how the list of mailboxes differs from what the client knows.
func (s *session) tellList(ctx context.Context, n *notifier) error {
	infos, err := s.reachable(ctx, n.patterns())
	if err != nil {
		return err
	}
	t := newTree(infos)
	before := maps.Clone(n.known)
	for _, info := range infos {
		if info.ID == 0 {
			continue
		}
		old, was := before[info.ID]
		delete(before, info.ID)
		k := known{info: info, events: s.eventsOf(n, &info), counted: old.counted, status: old.status}
		s.tellListed(k, old, was, t)
		if k.events&mailboxMetadataChange != 0 {
			if k.notes, err = s.notesNow(ctx, n, info.Name); err != nil {
				return err
			}
			// A mailbox that is new may have been annotated before it was seen.
			s.tellNoted(info.Name, old.notes, k.notes)
		}
		n.keep(k)
	}
	for _, k := range slices.SortedFunc(maps.Values(before), func(a, b known) int { return cmp.Compare(a.info.Name, b.info.Name) }) {
		delete(n.known, k.info.ID)
		if k.events&mailboxName != 0 {
			s.tellNonExistent(k.info.Name)
		}
	}
	return s.tellServerNoted(ctx, n)
}

// tellListed sends LIST for a mailbox that is new, renamed, or of which the
// subscription changed.
func (s *session) tellListed(k, old known, was bool, t *tree) {
	renamed := was && old.info.Name != k.info.Name
	wanted := (k.events | old.events) & mailboxName
	switch {
	case (!was || renamed) && wanted != 0:
	case was && old.info.Subscribed != k.info.Subscribed && k.events&subscriptionChange != 0:
	default:
		return
	}
	oldName := ""
	if renamed {
		oldName = old.info.Name
	}
	s.tellMailbox(k.info, t, oldName)
}

// tellMailbox sends LIST for a mailbox as it is now; oldName is what it was
// called before, "" when that did not change (RFC 5465 §5.4).
func (s *session) tellMailbox(info storage.MailboxInfo, t *tree, oldName string) {
	o := &s.out
	o.text("* LIST (")
	(&listRequest{options: returnSubscribed}).tellAttrs(o, info, t)
	o.text(`) "` + storage.Separator + `" `)
	o.mailbox(info.Name)
	if oldName != "" {
		o.oldName(oldName)
	}
	o.end()
}

func (s *session) tellNonExistent(name string) {
	s.out.text(`* LIST (\NonExistent) "` + storage.Separator + `" `)
	s.out.mailbox(name)
	s.out.end()
}

// tellItems sends what the client asked to know of new messages in the
// selected mailbox, which begin at index from (RFC 5465 §5.2).
func (s *session) tellItems(ctx context.Context, v *view, from int) {
	n := s.notify.Load()
	if !n.watching() || len(n.selected.items) == 0 {
		return
	}
	r := &fetchRequest{items: n.selected.items}
	for _, item := range r.items {
		r.needs |= item.needs
	}
	m := &fetching{s: s, out: &s.out, view: v, from: v.box}
	for m.i = from; m.i < v.len(); m.i++ {
		m.entry = v.at(m.i)
		if err := r.message(ctx, m, false); err != nil && !errors.Is(err, storage.ErrNoMessage) {
			s.log(ctx, slog.LevelWarn, "NOTIFY could not show a message", err)
			return
		}
	}
}
