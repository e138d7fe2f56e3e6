package imap

import (
	"context"
	"errors"

	"github.com/posthouse-mail/posthouse/storage"
)

// place is where a mailbox name of the protocol leads.
type place struct {
	account storage.Account // as clients see it
	owner   string          // whose account it is
	name    string          // of the mailbox in that account
	full    string          // the one name that clients have for it
	rights  storage.Rights  // what the session's user may do there
	box     storage.Mailbox // nil: nobody has opened it yet
}

// place returns where a name leads when the session's user has all of the
// rights in need there; none: when he may know of it. A mailbox of his own
// need not exist, but one that he may not even know of is
// storage.ErrNoMailbox, as a missing one is.
func (s *session) place(ctx context.Context, name string, need storage.Rights) (place, error) {
	l := s.locate(name)
	switch l.owner {
	case "":
		return place{}, storage.ErrNoMailbox
	case s.user:
		return s.ownPlace(l), nil
	}
	return s.foreignPlace(ctx, l, need)
}

func (s *session) ownPlace(l location) place {
	return place{account: s.account, owner: s.user, name: l.name, full: l.full, rights: storage.AllRights}
}

// mailbox opens a mailbox in which the session's user has all of the rights in
// need. The store sees no name that can't be one.
func (s *session) mailbox(ctx context.Context, name string, need storage.Rights) (storage.Mailbox, error) {
	p, err := s.place(ctx, name, need)
	if err != nil {
		return nil, err
	}
	return p.open(ctx)
}

// open opens the mailbox of a place.
func (p *place) open(ctx context.Context) (storage.Mailbox, error) {
	if p.box != nil {
		return p.box, nil
	}
	return p.account.Mailbox(ctx, p.name)
}

// foreignPlace is place for a name in somebody else's account. The store is
// asked the same whether the account or the mailbox is missing or only
// forbidden, so that the time it takes tells no more than the answer.
func (s *session) foreignPlace(ctx context.Context, l location, need storage.Rights) (place, error) {
	f, err := s.foreign(ctx, l.owner)
	if err != nil {
		return place{}, err
	}
	p := place{account: s.server.shown(f.account), owner: l.owner, name: l.name, full: l.full}
	box, missing := p.account.Mailbox(ctx, l.name)
	chain, gone := f.chain(ctx, l.name)
	switch {
	case ifThere(missing) != nil:
		return place{}, missing
	case ifThere(gone) != nil:
		return place{}, gone
	case f.missing || missing != nil || gone != nil:
		return place{}, storage.ErrNoMailbox
	}
	p.box, p.rights = box, s.rightsIn(l.owner, chain, f.who)
	return p, permit(p.rights, need)
}

// foreign is an account of somebody else, or his own in place of one that is
// not there.
type foreign struct {
	account storage.Account // all of it
	who     storage.Subject // the session's user, there
	missing bool
}

func (s *session) foreign(ctx context.Context, owner string) (f foreign, err error) {
	finder, _ := s.server.finder()
	f.account, err = finder.Find(ctx, owner)
	if errors.Is(err, storage.ErrNoMailbox) {
		f.missing, err = true, nil
		f.account = s.account.(*shownAccount).Account
	}
	if err != nil {
		return f, err
	}
	if f.who, err = s.server.Access.Subject(ctx, s.user, owner); errors.Is(err, storage.ErrNoMailbox) {
		return foreign{account: f.account, missing: true}, nil
	}
	return f, err
}

// chain returns the lists down to a mailbox.
func (f *foreign) chain(ctx context.Context, name string) ([]storage.ACL, error) {
	acls, ok := storage.As[storage.ACLs](f.account)
	if !ok {
		return nil, nil
	}
	return acls.ACLChain(ctx, name)
}

// newPlace returns where a name leads under which a mailbox is to come: the
// right to make one is that of the nearest mailbox above it (RFC 4314 §4).
// Names at which he may make none have one answer, whatever is there.
func (s *session) newPlace(ctx context.Context, name string) (place, error) {
	l := s.locate(name)
	switch l.owner {
	case "":
		return place{}, errNoPerm
	case s.user:
		return s.ownPlace(l), nil
	}
	f, err := s.foreign(ctx, l.owner)
	if err != nil {
		return place{}, err
	}
	chain, err := f.nearest(ctx, l.name)
	if err != nil {
		return place{}, err
	}
	if f.missing && storage.IsPublic(l.owner) && f.who.Always&storage.RightCreate != 0 {
		f.missing = false // who administers public folders makes the first
		if f.account, err = s.server.Store.Account(ctx, l.owner); err != nil {
			return place{}, err
		}
	}
	rights := s.rightsIn(l.owner, chain, f.who)
	if f.missing || rights&storage.RightCreate == 0 {
		return place{}, errNoPerm
	}
	return place{account: s.server.shown(f.account), owner: l.owner, name: l.name, full: l.full, rights: rights}, nil
}

// nearest returns the lists down to the nearest mailbox above a name, or those
// of the account alone. It asks for all levels, so that it takes the same time
// whichever are there.
func (f *foreign) nearest(ctx context.Context, name string) ([]storage.ACL, error) {
	chain, err := f.chain(ctx, "")
	for level := range storage.Levels(name) {
		if err != nil || level == name {
			break
		}
		deeper, missing := f.chain(ctx, level)
		switch {
		case missing == nil:
			chain = deeper
		case !errors.Is(missing, storage.ErrNoMailbox):
			err = missing
		}
	}
	return chain, err
}
