package imap

import (
	"context"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

type createRequest struct {
	name  string
	asked string // the name as the client wrote it
	attrs []imap.MailboxAttr
}

// specialUses are the uses that a client may ask for (RFC 6154 §3). \All and
// \Flagged are views of other mailboxes, which no store makes.
var specialUses = []imap.MailboxAttr{
	imap.MailboxAttrArchive, imap.MailboxAttrDrafts, imap.MailboxAttrJunk, imap.MailboxAttrSent, imap.MailboxAttrTrash,
}

// parseCreate reads CREATE (RFC 9051 §6.3.4, RFC 6154 §3). A separator at the
// end says that children will follow, which every mailbox can have.
func parseCreate(p *parser) request {
	p.space()
	r := &createRequest{asked: strings.TrimSuffix(p.astring(), storage.Separator)}
	r.name = p.decodeName(r.asked)
	if !p.accept(' ') {
		return r
	}
	p.expect('(')
	if p.word() != "USE" {
		p.fail("Unknown CREATE parameter")
	}
	p.space()
	p.list(func() { r.attrs = append(r.attrs, p.attribute()) })
	p.expect(')')
	return r
}

// attribute reads a mailbox attribute and brings it into its usual letter case.
func (p *parser) attribute() imap.MailboxAttr {
	p.expect('\\')
	a := imap.MailboxAttr(`\` + p.atom())
	for _, known := range specialUses {
		if strings.EqualFold(string(a), string(known)) {
			return known
		}
	}
	return a
}

func (r *createRequest) run(ctx context.Context, s *session) (result, error) {
	for _, a := range r.attrs {
		if !slices.Contains(specialUses, a) {
			return result{}, no("USEATTR", "Special use not supported")
		}
	}
	if err := creatable(r.name); err != nil {
		return result{}, err
	}
	p, err := s.newPlace(ctx, r.name)
	if err != nil {
		return result{}, err
	}
	if err := p.account.Create(ctx, p.name, storage.NewMailbox{Attrs: r.attrs}); err != nil {
		return result{}, err
	}
	if err := s.tellNormalized(ctx, p.full, r.asked); err != nil {
		return result{}, err
	}
	return result{code: mailboxIDCode(ctx, &p)}, nil
}
