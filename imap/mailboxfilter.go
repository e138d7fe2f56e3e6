package imap

import (
	"context"
	"errors"
	"strings"

	"github.com/posthouse-mail/posthouse/storage"
)

// mailboxFilter names mailboxes (RFC 5465 §6, RFC 7377 §2.2).
type mailboxFilter struct {
	kind  filterKind
	names []string // of mailboxes, subtree and subtree-one
}

type filterKind int

const (
	filterSelected filterKind = iota
	filterSelectedDelayed
	filterInboxes
	filterPersonal
	filterSubscribed
	filterSubtree
	filterSubtreeOne
	filterMailboxes
)

var filterKinds = map[string]filterKind{
	"SELECTED": filterSelected, "SELECTED-DELAYED": filterSelectedDelayed,
	"INBOXES": filterInboxes, "PERSONAL": filterPersonal, "SUBSCRIBED": filterSubscribed,
	"SUBTREE": filterSubtree, "SUBTREE-ONE": filterSubtreeOne, "MAILBOXES": filterMailboxes,
}

func (f *mailboxFilter) ofSelected() bool {
	return f.kind == filterSelected || f.kind == filterSelectedDelayed
}

// maxFilterNames bounds the names in one filter.
const maxFilterNames = 1000

// mailboxFilter reads one filter-mailboxes.
func (p *parser) mailboxFilter() (f mailboxFilter) {
	kind, ok := filterKinds[p.word()]
	if !ok {
		p.fail("Unknown mailbox filter")
	}
	f.kind = kind
	if kind < filterSubtree {
		return f
	}
	p.space()
	if p.peek() != '(' {
		f.names = append(f.names, p.mailbox())
		return f
	}
	p.list(func() {
		if f.names = append(f.names, p.mailbox()); len(f.names) > maxFilterNames {
			p.fail("Too many mailboxes")
		}
	})
	if len(f.names) == 0 {
		p.fail("Missing mailbox")
	}
	return f
}

// listings are the mailboxes of accounts as they were listed for the filters of
// one command, by owner: however many names a client writes, each account is
// listed once.
type listings map[string][]storage.MailboxInfo

func (l listings) of(ctx context.Context, p *place) ([]storage.MailboxInfo, error) {
	if infos, ok := l[p.owner]; ok {
		return infos, nil
	}
	infos, err := p.account.Mailboxes(ctx)
	if err == nil {
		l[p.owner] = infos
	}
	return infos, err
}

// each calls visit with the names that the filter names, as clients know them.
// A mailbox that is not there, or may not be known of, is passed over, or is for
// visit to find out.
func (f mailboxFilter) each(ctx context.Context, s *session, lists listings, visit func(name string) error) error {
	switch f.kind {
	case filterSelected, filterSelectedDelayed:
		if s.view == nil {
			return nil
		}
		return visit(s.view.name)
	case filterInboxes: // mail is delivered to INBOX if nobody says otherwise
		return visit(storage.Inbox)
	case filterPersonal, filterSubscribed:
		infos, err := s.account.Mailboxes(ctx)
		if err != nil {
			return err
		}
		return eachName(infos, func(i storage.MailboxInfo) bool { return f.kind == filterPersonal || i.Subscribed }, visit)
	}
	for _, name := range f.names {
		if err := visit(name); err != nil {
			return err
		}
		if f.kind == filterMailboxes {
			continue
		}
		if err := f.below(ctx, s, name, lists, visit); err != nil {
			return err
		}
	}
	return nil
}

func eachName(infos []storage.MailboxInfo, want func(storage.MailboxInfo) bool, visit func(name string) error) error {
	for _, i := range infos {
		if i.ID == 0 && !i.Subscribed || !want(i) { // what is subscribed may be somebody else's
			continue
		}
		if err := visit(i.Name); err != nil {
			return err
		}
	}
	return nil
}

// below visits the mailboxes below a name, or only those right below it.
func (f mailboxFilter) below(ctx context.Context, s *session, name string, lists listings, visit func(name string) error) error {
	p, err := s.place(ctx, name, storage.RightLookup)
	if errors.Is(err, storage.ErrNoMailbox) {
		return nil
	} else if err != nil {
		return err
	}
	infos, err := lists.of(ctx, &p)
	if err != nil {
		return err
	}
	top := p.name + storage.Separator
	inside := func(i storage.MailboxInfo) bool {
		rest, ok := strings.CutPrefix(i.Name, top)
		return ok && (f.kind == filterSubtree || !strings.Contains(rest, storage.Separator))
	}
	return eachName(infos, inside, func(child string) error {
		return visit(name + storage.Separator + strings.TrimPrefix(child, top))
	})
}
