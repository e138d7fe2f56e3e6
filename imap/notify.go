package imap

import (
	"context"
	"strings"

	"github.com/posthouse-mail/posthouse/storage"
)

// events is a set of what NOTIFY can tell of (RFC 5465 §5).
type events uint8

const (
	messageNew events = 1 << iota
	messageExpunge
	flagChange
	mailboxName
	subscriptionChange
)

const messageEvents = messageNew | messageExpunge | flagChange

// notifyEvents are the events that are served. AnnotationChange is not: there
// are no annotations of messages.
var notifyEvents = map[string]events{
	"MESSAGENEW":         messageNew,
	"MESSAGEEXPUNGE":     messageExpunge,
	"FLAGCHANGE":         flagChange,
	"MAILBOXNAME":        mailboxName,
	"SUBSCRIPTIONCHANGE": subscriptionChange,
}

// unservedEvents are those of the RFC that are not served.
var unservedEvents = map[string]bool{
	"ANNOTATIONCHANGE": true, "MAILBOXMETADATACHANGE": true, "SERVERMETADATACHANGE": true,
}

var errBadEvent = no("BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange)", "Event not supported")

// eventGroup is what a client wants to know of some mailboxes.
type eventGroup struct {
	mailboxFilter
	events events
	items  []fetchItem // of new messages in the selected mailbox
}

// Bounds of NOTIFY.
const (
	maxEventGroups    = 100
	maxNotifyNames    = 1000 // in all groups
	maxNotifyPending  = 1000 // mailboxes with changes that the client was not told of yet
	maxNotifyWatching = 20_000
)

type notifyRequest struct {
	none   bool
	status bool
	groups []eventGroup
	names  int
}

// parseNotify reads NOTIFY (RFC 5465 §3.1).
func parseNotify(p *parser) request {
	p.space()
	r := &notifyRequest{}
	switch p.word() {
	case "NONE":
		r.none = true
		return r
	case "SET":
	default:
		p.fail("Expected SET or NONE")
	}
	p.space()
	if r.status = p.keyword("STATUS"); r.status {
		p.space()
	}
	r.group(p)
	for p.accept(' ') {
		r.group(p)
	}
	return r
}

// group reads "(" filter SP events ")".
func (r *notifyRequest) group(p *parser) {
	p.expect('(')
	g := eventGroup{mailboxFilter: p.mailboxFilter()}
	r.names += len(g.names)
	if len(r.groups) >= maxEventGroups || r.names > maxNotifyNames || g.ofSelected() && r.selected() != nil {
		p.fail("Invalid event group")
	}
	p.space()
	if !p.keyword("NONE") {
		p.list(func() { g.event(p) })
		g.check(p)
	}
	p.expect(')')
	r.groups = append(r.groups, g)
}

// selected returns the group of the selected mailbox, nil when there is none.
func (r *notifyRequest) selected() *eventGroup {
	for i := range r.groups {
		if r.groups[i].ofSelected() {
			return &r.groups[i]
		}
	}
	return nil
}

func (g *eventGroup) event(p *parser) {
	word := p.word()
	e, ok := notifyEvents[word]
	switch {
	case unservedEvents[word]:
		p.refuse(errBadEvent)
	case !ok:
		p.fail("Unknown event")
	}
	g.events |= e
	if e != messageNew || p.peek() != ' ' || p.pos+1 >= len(p.buf) || p.buf[p.pos+1] != '(' {
		return
	}
	p.space()
	if !g.ofSelected() {
		p.fail("Items can be told of the selected mailbox only")
		return
	}
	p.list(func() {
		g.items = append(g.items, p.fetchItem(p.fetchName()))
		if len(g.items) > maxItems {
			p.fail("Too many FETCH items")
		}
	})
}

// check holds a group to the rules of RFC 5465 §5 and §6.
func (g *eventGroup) check(p *parser) {
	const pair = messageNew | messageExpunge
	has := g.events & pair
	switch {
	case g.events == 0:
		p.fail("Missing events")
	case has != 0 && has != pair, g.events&flagChange != 0 && has != pair:
		p.fail("MessageNew and MessageExpunge must come together")
	case g.ofSelected() && g.events&^messageEvents != 0:
		p.fail("Event is not one of the selected mailbox")
	}
}

// covers reports whether a group is about a mailbox that is not selected.
func (g *eventGroup) covers(info *storage.MailboxInfo, personal bool) bool {
	switch g.kind {
	case filterInboxes:
		return personal && info.Name == storage.Inbox
	case filterPersonal:
		return personal
	case filterSubscribed:
		return info.Subscribed
	}
	for _, name := range g.names {
		rest, below := strings.CutPrefix(info.Name, name+storage.Separator)
		switch {
		case info.Name == name, below && g.kind == filterSubtree, below && g.kind == filterSubtreeOne && !strings.Contains(rest, storage.Separator):
			return true
		}
	}
	return false
}

// run puts the new groups in the place of the old ones.
func (r *notifyRequest) run(ctx context.Context, s *session) (result, error) {
	s.endNotify()
	if r.none {
		s.notify.Store(&notifier{})
		return result{}, nil
	}
	n := &notifier{groups: r.groups, known: make(map[storage.MailboxID]known)}
	if g := r.selected(); g != nil {
		n.selected = *g
	}
	// From here on changes are noticed; what begin sees of them already is not
	// told again.
	s.notify.Store(n)
	told, err := s.beginNotify(ctx, n)
	if err != nil {
		s.endNotify()
		return result{}, err
	}
	if r.status {
		for _, t := range told {
			s.tellNotifyStatus(t)
		}
	}
	return result{}, nil
}
