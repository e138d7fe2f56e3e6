package imap

import (
	"context"
	"math"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

var (
	errNoResource = no(imap.ResponseCodeCannot, "Resource not supported")
	errZeroQuota  = no(imap.ResponseCodeCannot, "A limit must not be zero")
)

// setQuotaRequest is SETQUOTA (RFC 9208 §4.1.3). What it does not name is
// bounded no more.
type setQuotaRequest struct {
	name    string
	account bool
	quota   storage.Quota
	err     error // why the limits can't be set
}

// maxResources bounds the resources that SETQUOTA names.
const maxResources = 100

// parseSetQuota reads SETQUOTA.
func parseSetQuota(p *parser) request {
	p.space()
	r := &setQuotaRequest{}
	r.name, r.account = p.nameOrEmpty()
	p.space()
	n := 0
	p.list(func() {
		if n++; n > maxResources {
			p.fail("Too many resources")
		}
		name := p.word()
		p.space()
		r.limit(name, p.number64())
	})
	return r
}

func (r *setQuotaRequest) limit(name string, units int64) {
	for _, known := range quotaResources {
		if known.name != name {
			continue
		}
		*known.of(&r.quota) = min(units, math.MaxInt64/known.unit) * known.unit
		if units == 0 {
			r.err = errZeroQuota // which is none to the store
		}
		return
	}
	r.err = errNoResource
}

// maySetQuota reports whether the session's user may change quotas.
func (s *session) maySetQuota() bool {
	return s.server.QuotaAdmin != nil && s.server.QuotaAdmin(s.user)
}

func (r *setQuotaRequest) run(ctx context.Context, s *session) (result, error) {
	if !s.maySetQuota() {
		return result{}, errNoPerm
	}
	root, err := r.root(ctx, s)
	if err == nil {
		err = r.err
	}
	if err == nil {
		err = root.set(ctx, &r.quota)
	}
	if err != nil {
		return result{}, err
	}
	root.limit = r.quota
	s.tellQuota(&root)
	return result{}, nil
}

func (r *setQuotaRequest) root(ctx context.Context, s *session) (quotaRoot, error) {
	if r.account {
		return s.accountRoot(ctx)
	}
	return s.mailboxRoot(ctx, r.name, storage.RightAdmin)
}

// set gives an account or a mailbox bounds of its own.
func (r *quotaRoot) set(ctx context.Context, q *storage.Quota) error {
	if r.mailbox == "" {
		return r.quotas.SetQuota(ctx, q)
	}
	return r.quotas.SetMailboxQuota(ctx, r.mailbox, q)
}
