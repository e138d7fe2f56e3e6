package imap

import (
	"context"
	"slices"

	"github.com/posthouse-mail/posthouse/storage"
)

// statusItems is what STATUS can tell of a mailbox (RFC 9051 §6.3.11,
// RFC 8438, RFC 7889, RFC 7162, RFC 8474).
var statusItems = map[string]func(s *session, st storage.Status) uint64{
	"MESSAGES":    func(_ *session, st storage.Status) uint64 { return uint64(st.Messages) },
	"RECENT":      func(_ *session, st storage.Status) uint64 { return uint64(st.Recent) },
	"UIDNEXT":     func(_ *session, st storage.Status) uint64 { return uint64(st.UIDNext) },
	"UIDVALIDITY": func(_ *session, st storage.Status) uint64 { return uint64(st.UIDValidity) },
	"UNSEEN":      func(_ *session, st storage.Status) uint64 { return uint64(st.Unseen) },
	"DELETED":     func(_ *session, st storage.Status) uint64 { return uint64(st.Deleted) },
	"SIZE":        func(_ *session, st storage.Status) uint64 { return uint64(st.Size) },
	"APPENDLIMIT": func(s *session, _ storage.Status) uint64 { return uint64(s.limits.AppendSize) },
	"MAILBOXID":   nil, // is no number

	"HIGHESTMODSEQ": func(_ *session, st storage.Status) uint64 { return st.HighestModSeq },
}

type statusRequest struct {
	name  string
	items []string
}

// parseStatus reads STATUS.
func parseStatus(p *parser) request {
	p.space()
	r := &statusRequest{name: p.mailbox()}
	p.space()
	r.items = p.statusItems()
	return r
}

func (p *parser) statusItems() (items []string) {
	p.list(func() {
		item := p.word()
		if _, ok := statusItems[item]; !ok || len(items) > 2*len(statusItems) {
			p.fail("Unknown STATUS item")
		}
		items = append(items, item)
	})
	if len(items) == 0 {
		p.fail("Missing STATUS items")
	}
	return items
}

func (r *statusRequest) run(ctx context.Context, s *session) (result, error) {
	return result{}, s.tellStatus(ctx, r.name, r.items)
}

func (s *session) tellStatus(ctx context.Context, name string, items []string) error {
	box, err := s.mailbox(ctx, name, storage.RightRead)
	if err != nil {
		return err
	}
	st, err := box.Status(ctx)
	if err != nil {
		return err
	}
	if slices.Contains(items, "HIGHESTMODSEQ") {
		s.useModSeqs()
	}
	s.writeStatus(name, box.ID(), items, st)
	return nil
}

func (s *session) writeStatus(name string, id storage.MailboxID, items []string, st storage.Status) {
	o := &s.out
	o.text("* STATUS ")
	o.mailbox(name)
	sep := " ("
	for _, item := range items {
		o.text(sep)
		o.text(item)
		o.byte(' ')
		if number := statusItems[item]; number != nil {
			o.number(number(s, st))
		} else {
			o.text(mailboxID(id))
		}
		sep = " "
	}
	o.byte(')')
	o.end()
}
