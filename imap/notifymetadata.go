package imap

import (
	"context"
	"errors"
	"hash/maphash"
	"maps"
	"slices"
)

// noted is what a client was last told of annotations, or could have asked for:
// for each by its full name what its value comes down to.
type noted map[string]uint64

// notesNow returns the annotations of a mailbox, or with the empty name those of
// the server, as far as the session's user may know them.
func (s *session) notesNow(ctx context.Context, n *notifier, mailbox string) (noted, error) {
	find := s.serverNotes
	if mailbox != "" {
		find = func() (notePlace, error) { return s.notesOf(ctx, mailbox) }
	}
	of, err := find()
	if err == nil {
		var values []metadataValue
		if values, err = of.list(ctx, s.user); err == nil {
			now := make(noted, len(values))
			for _, v := range values {
				now[v.name] = maphash.Bytes(n.seed, v.value)
			}
			return now, nil
		}
	}
	if errors.Is(err, errNoPerm) || errors.Is(err, errNoAnnotations) {
		return nil, nil
	}
	return nil, ifThere(err)
}

// tellNoted tells which annotations differ from what they were (RFC 5465 §5.6
// and §5.7).
func (s *session) tellNoted(mailbox string, was, now noted) {
	var names []string
	for name, value := range now {
		if old, known := was[name]; !known || old != value {
			names = append(names, name)
		}
	}
	for name := range was {
		if _, there := now[name]; !there {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	o := &s.out
	o.text("* METADATA ")
	o.mailbox(mailbox)
	for _, name := range names {
		o.byte(' ')
		o.astring(name)
	}
	o.end()
}

// beginNoted takes down the annotations that are watched.
func (s *session) beginNoted(ctx context.Context, n *notifier) (err error) {
	for id, k := range maps.Clone(n.known) {
		if k.events&mailboxMetadataChange == 0 {
			continue
		}
		if k.notes, err = s.notesNow(ctx, n, k.info.Name); err != nil {
			return err
		}
		n.known[id] = k
	}
	if n.wantsServer() {
		n.server, err = s.notesNow(ctx, n, "")
	}
	return err
}

// wantsServer reports whether a group asks for annotations of the server.
func (n *notifier) wantsServer() bool {
	return slices.ContainsFunc(n.groups, func(g eventGroup) bool { return g.events&serverMetadataChange != 0 })
}

// tellServerNoted tells of changed annotations of the server.
func (s *session) tellServerNoted(ctx context.Context, n *notifier) error {
	if !n.wantsServer() {
		return nil
	}
	now, err := s.notesNow(ctx, n, "")
	if err == nil {
		s.tellNoted("", n.server, now)
		n.server = now
	}
	return err
}
