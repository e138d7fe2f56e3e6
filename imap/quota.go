package imap

import (
	"context"
	"errors"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// There is a quota root for the user's account, with the empty name, and one
// for each mailbox that has bounds, with the name of the mailbox (RFC 9208
// §3.2). The root of somebody else's account is not shown.

var (
	errNoQuotaRoot = no(imap.ResponseCodeNonExistent, "No such quota root")
	errNoQuotas    = no(imap.ResponseCodeCannot, "Quotas are not supported here")
)

// quotaResource is something that a quota bounds (RFC 9208 §5).
type quotaResource struct {
	name string
	unit int64 // what is counted in the unit of storage.Quota
	of   func(q *storage.Quota) *int64
}

var quotaResources = []quotaResource{
	{"STORAGE", 1024, func(q *storage.Quota) *int64 { return &q.Bytes }},
	{"MESSAGE", 1, func(q *storage.Quota) *int64 { return &q.Messages }},
	{"MAILBOX", 1, func(q *storage.Quota) *int64 { return &q.Mailboxes }},
}

// units returns how many units something begins, so that what is within its
// bound is so in units, too.
func (r *quotaResource) units(q *storage.Quota) int64 {
	n := max(*r.of(q), 0)
	units := n / r.unit
	if n%r.unit > 0 {
		units++
	}
	return units
}

// quotaRoot is the quota of an account or a mailbox.
type quotaRoot struct {
	name    string // of the mailbox, as clients write it; "" is the account
	quotas  storage.Quotas
	mailbox string // its name in the account
	limit   storage.Quota
	used    storage.Quota
}

// accountRoot returns the quota root of the user's account.
func (s *session) accountRoot(ctx context.Context) (r quotaRoot, err error) {
	var ok bool
	if r.quotas, ok = storage.As[storage.Quotas](s.account); !ok {
		return r, errNoQuotas
	}
	r.limit, r.used, err = r.quotas.Quota(ctx)
	return r, err
}

// mailboxRoot returns the quota root of a mailbox that exists, whether it has
// bounds or not.
func (s *session) mailboxRoot(ctx context.Context, name string, need storage.Rights) (r quotaRoot, err error) {
	p, err := s.place(ctx, name, need)
	if err != nil {
		return r, err
	}
	var ok bool
	if r.quotas, ok = storage.As[storage.Quotas](p.account); !ok {
		return r, errNoQuotas
	}
	if _, err := p.account.Mailbox(ctx, p.name); err != nil {
		return r, err
	}
	r.name, r.mailbox = name, p.name
	r.limit, r.used, err = r.quotas.MailboxQuota(ctx, p.name)
	return r, err
}

type getQuotaRequest struct {
	name    string
	account bool
}

// parseGetQuota reads GETQUOTA (RFC 9208 §4.1.1).
func parseGetQuota(p *parser) request {
	p.space()
	r := &getQuotaRequest{}
	r.name, r.account = p.nameOrEmpty()
	return r
}

func (r *getQuotaRequest) run(ctx context.Context, s *session) (result, error) {
	root, err := s.quotaRoot(ctx, r.name, r.account)
	if err == nil {
		s.tellQuota(&root)
	}
	return result{}, err
}

// quotaRoot returns a root by its name. A mailbox that is not there is answered
// as one that has no bounds.
func (s *session) quotaRoot(ctx context.Context, name string, account bool) (quotaRoot, error) {
	if account {
		return s.accountRoot(ctx)
	}
	root, err := s.mailboxRoot(ctx, name, storage.RightRead)
	if errors.Is(err, storage.ErrNoMailbox) || err == nil && root.limit == (storage.Quota{}) {
		err = errNoQuotaRoot
	}
	return root, err
}

// tellQuota sends a QUOTA response (RFC 9208 §4.2.1) with what is bounded.
func (s *session) tellQuota(root *quotaRoot) {
	o := &s.out
	o.text("* QUOTA ")
	o.mailbox(root.name)
	o.text(" (")
	sep := ""
	for _, r := range quotaResources {
		if *r.of(&root.limit) <= 0 {
			continue
		}
		o.text(sep + r.name + " ")
		o.size(r.units(&root.used))
		o.byte(' ')
		o.size(r.units(&root.limit))
		sep = " "
	}
	o.byte(')')
	o.end()
}

type getQuotaRootRequest struct{ name string }

// parseGetQuotaRoot reads GETQUOTAROOT (RFC 9208 §4.1.2).
func parseGetQuotaRoot(p *parser) request {
	p.space()
	return &getQuotaRootRequest{p.mailbox()}
}

// run answers for a mailbox of the user that is not there as for one that is
// to be made: with the account's root.
func (r *getQuotaRootRequest) run(ctx context.Context, s *session) (result, error) {
	p, err := s.place(ctx, r.name, storage.RightRead)
	if err != nil {
		return result{}, err
	}
	var roots []quotaRoot
	own := p.account == s.account
	if own {
		root, err := s.accountRoot(ctx)
		if err != nil {
			return result{}, err
		}
		roots = append(roots, root)
	}
	root, err := s.mailboxRoot(ctx, r.name, storage.RightRead)
	if err != nil && !(own && errors.Is(err, storage.ErrNoMailbox)) {
		return result{}, err
	}
	if err == nil && root.limit != (storage.Quota{}) {
		roots = append(roots, root)
	}
	s.out.text("* QUOTAROOT ")
	s.out.mailbox(r.name)
	for _, root := range roots {
		s.out.byte(' ')
		s.out.mailbox(root.name)
	}
	s.out.end()
	for i := range roots {
		s.tellQuota(&roots[i])
	}
	return result{}, nil
}

// roomFor returns storage.ErrOverQuota when messages that are yet to be sent
// will find no room, as it is at this moment. The store says so again when it
// takes them.
func (s *session) roomFor(ctx context.Context, at place, more storage.Quota) error {
	quotas, ok := storage.As[storage.Quotas](at.account)
	if ok {
		limit, used, err := quotas.MailboxQuota(ctx, at.name)
		if err == nil {
			err = fits(limit, used, more)
		}
		if err != nil {
			return err
		}
	}
	// A store that can tell of its own accord need not add up what an account
	// without bounds holds.
	if room, can := storage.As[storage.RoomChecker](s.server.Store); can && at.account == s.account {
		return room.CheckRoom(ctx, s.user, more.Bytes)
	}
	if !ok {
		return nil
	}
	limit, used, err := quotas.Quota(ctx)
	if err != nil {
		return err
	}
	return fits(limit, used, more)
}

// fits is Quota.Check of messages alone: how many mailboxes there are is no
// matter to them.
func fits(limit, used, more storage.Quota) error {
	used = used.Plus(more)
	used.Mailboxes = 0
	return limit.Check(used)
}

// deletedStorage returns how much an EXPUNGE of a mailbox would free, in units
// of 1,024 octets (RFC 9208 §4.1.4).
func deletedStorage(ctx context.Context, box storage.Mailbox) (uint64, error) {
	var q storage.Quota
	for m, err := range box.Messages(ctx, 0) {
		if err != nil {
			return 0, err
		}
		if m.Flags.Has(storage.Deleted) {
			q.Bytes += m.Size
		}
	}
	return uint64(quotaResources[0].units(&q)), nil
}
