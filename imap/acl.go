package imap

import (
	"context"
	"errors"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// aclRequest is one of the commands that need the right to administer a
// mailbox (RFC 4314 §3).
type aclRequest struct {
	name       string
	identifier string // as the client wrote it
	change     storage.RightsChange
	do         func(r *aclRequest, ctx context.Context, s *session, l boxList) error
}

// boxList is the access control list of a mailbox.
type boxList struct {
	storage.ACLs
	place
}

var (
	errNoLists = no(imap.ResponseCodeCannot, "There are no access control lists")
	errOwner   = no(imap.ResponseCodeCannot, "The owner of a mailbox always has all rights")
)

// parseSetACL reads SETACL (RFC 4314 §3.1).
func parseSetACL(p *parser) request {
	r := p.aclRequest((*aclRequest).set)
	p.space()
	r.identifier = p.astring()
	p.space()
	change, err := storage.ParseRightsChange(p.astring())
	if err != nil {
		p.fail("Unknown right")
	}
	r.change = change
	return r
}

// parseDeleteACL reads DELETEACL (RFC 4314 §3.2).
func parseDeleteACL(p *parser) request {
	r := p.aclRequest((*aclRequest).set)
	p.space()
	r.identifier = p.astring()
	return r
}

// parseGetACL reads GETACL (RFC 4314 §3.3).
func parseGetACL(p *parser) request { return p.aclRequest((*aclRequest).get) }

// parseListRights reads LISTRIGHTS (RFC 4314 §3.4).
func parseListRights(p *parser) request {
	r := p.aclRequest((*aclRequest).listRights)
	p.space()
	r.identifier = p.astring()
	return r
}

func (p *parser) aclRequest(do func(*aclRequest, context.Context, *session, boxList) error) *aclRequest {
	p.space()
	return &aclRequest{name: p.mailbox(), do: do}
}

func (r *aclRequest) run(ctx context.Context, s *session) (result, error) {
	p, err := s.place(ctx, r.name, storage.RightAdmin)
	if err != nil {
		return result{}, err
	}
	if _, err := p.open(ctx); err != nil { // which is not there to clients if it is of another kind
		return result{}, err
	}
	acls, ok := storage.As[storage.ACLs](p.account)
	if !ok {
		return result{}, errNoLists
	}
	return result{}, r.do(r, ctx, s, boxList{acls, p})
}

// prepared returns the identifier as lists have it, and whether its negative
// rights are meant.
func (r *aclRequest) prepared(s *session) (id string, negative bool, err error) {
	id, negative = strings.CutPrefix(r.identifier, "-")
	if err := storage.CheckIdentifier(id); errors.Is(err, storage.ErrLimit) {
		return "", false, err
	} else if err != nil {
		return "", false, bad("Invalid identifier") // RFC 4314 §3
	}
	if s.server.Access != nil {
		id = s.server.Access.Identifier(id)
	}
	return id, negative, nil
}

// set changes an entry. One at a time does, so that none undoes what another
// did. That the owner's rights can't be taken away is said, not passed over.
func (r *aclRequest) set(ctx context.Context, s *session, l boxList) error {
	id, negative, err := r.prepared(s)
	if err != nil {
		return err
	}
	if id == l.owner && (negative || r.change.Apply(storage.AllRights) != storage.AllRights) {
		return errOwner
	}
	if negative {
		id = "-" + id
	}
	s.server.lists.Lock()
	defer s.server.lists.Unlock()
	now, err := l.ACL(ctx, l.name)
	if err == nil {
		now, err = now.Change(id, r.change)
	}
	if errors.Is(err, storage.ErrBadACL) {
		return bad("Invalid identifier")
	}
	if err == nil {
		err = l.SetACL(ctx, l.name, now)
	}
	return err
}

// get sends ACL (RFC 4314 §3.6), with the owner first, whatever the list says
// of him.
func (r *aclRequest) get(ctx context.Context, s *session, l boxList) error {
	now, err := l.ACL(ctx, l.name)
	if err != nil {
		return err
	}
	o := &s.out
	o.text("* ACL ")
	o.mailbox(r.name)
	entry := func(id string, rights storage.Rights) {
		if rights != 0 {
			o.byte(' ')
			o.astring(id)
			o.text(" " + rights.WithObsolete())
		}
	}
	if !storage.IsPublic(l.owner) {
		entry(l.owner, storage.AllRights)
	}
	for _, e := range now {
		if e.Identifier != l.owner {
			entry(e.Identifier, e.Allow)
			entry("-"+e.Identifier, e.Deny)
		}
	}
	o.end()
	return nil
}

// listRights sends LISTRIGHTS (RFC 4314 §3.7): no rights are tied together, and
// the owner has all for ever.
func (r *aclRequest) listRights(_ context.Context, s *session, l boxList) error {
	id, _, err := r.prepared(s)
	if err != nil {
		return err
	}
	o := &s.out
	o.text("* LISTRIGHTS ")
	o.mailbox(r.name)
	o.byte(' ')
	o.astring(r.identifier)
	all := storage.AllRights.WithObsolete()
	if id == l.owner {
		o.text(" " + all)
	} else {
		o.text(` "" ` + strings.Join(strings.Split(all, ""), " "))
	}
	o.end()
	return nil
}
