package imap

import (
	"context"
	"slices"

	"github.com/posthouse-mail/posthouse/storage"
)

// tally is what STATUS can tell of a mailbox.
type tally struct {
	storage.Status
	id        storage.MailboxID
	reclaimed uint64 // see deletedStorage
}

// statusItems is what STATUS can tell of a mailbox (RFC 9051 §6.3.11,
// RFC 8438, RFC 7889, RFC 7162, RFC 8474, RFC 9208).
var statusItems = map[string]func(s *session, c *tally){
	"MESSAGES":    func(s *session, c *tally) { s.out.number(uint64(c.Messages)) },
	"RECENT":      func(s *session, c *tally) { s.out.number(uint64(c.Recent)) },
	"UIDNEXT":     func(s *session, c *tally) { s.out.number(uint64(c.UIDNext)) },
	"UIDVALIDITY": func(s *session, c *tally) { s.out.number(uint64(c.UIDValidity)) },
	"UNSEEN":      func(s *session, c *tally) { s.out.number(uint64(c.Unseen)) },
	"DELETED":     func(s *session, c *tally) { s.out.number(uint64(c.Deleted)) },
	"SIZE":        func(s *session, c *tally) { s.out.size(c.Size) },

	"APPENDLIMIT":     func(s *session, _ *tally) { s.out.size(s.limits.AppendSize) },
	"DELETED-STORAGE": func(s *session, c *tally) { s.out.number(c.reclaimed) },
	"HIGHESTMODSEQ":   func(s *session, c *tally) { s.out.number(c.HighestModSeq) },
	"MAILBOXID":       func(s *session, c *tally) { s.out.text(mailboxID(c.id)) },
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
	c := &tally{id: box.ID()}
	if c.Status, err = box.Status(ctx); err != nil {
		return err
	}
	if slices.Contains(items, "DELETED-STORAGE") && c.Deleted > 0 {
		if c.reclaimed, err = deletedStorage(ctx, box); err != nil {
			return err
		}
	}
	if slices.Contains(items, "HIGHESTMODSEQ") {
		s.useModSeqs()
	}
	s.writeStatus(name, items, c)
	return nil
}

func (s *session) writeStatus(name string, items []string, c *tally) {
	o := &s.out
	o.text("* STATUS ")
	o.mailbox(name)
	sep := " ("
	for _, item := range items {
		o.text(sep)
		o.text(item)
		o.byte(' ')
		statusItems[item](s, c)
		sep = " "
	}
	o.byte(')')
	o.end()
}
