package ldap

import (
	"context"
	"math"
	"strings"
	"unicode/utf8"

	ldap "github.com/go-ldap/ldap/v3"
)

// maxUser bounds the name of a user that is looked up, in octets.
const maxUser = 1024

// anything is a filter that every entry fits.
const anything = "(objectClass=*)"

// UserFilter returns the filter by which Lookup finds a user.
func (c *Connector) UserFilter(user string) string {
	return Filter(c.c.Filter).ForUser(user, c.c.Domain)
}

// Lookup returns the entry of a user. A name that is no UTF-8 or longer than
// 1,024 octets is nobody's.
func (c *Connector) Lookup(ctx context.Context, user string, attributes ...string) (*Entry, error) {
	if user == "" || len(user) > maxUser || strings.ContainsRune(user, 0) || !utf8.ValidString(user) {
		return nil, ErrNoEntry
	}
	found, err := c.Search(ctx, Query{
		Scope: c.c.Scope, Filter: c.UserFilter(user), Limit: 1,
		Attributes: append(c.defaults, attributes...),
	})
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, ErrNoEntry
	}
	return found[0], nil
}

// Search returns the entries that fit. More than Query.Limit are ErrSeveral,
// or the first of them, as Config.Several says; when no limit is given, more
// than Config.MaxEntries are ErrUnavailable, and so is an answer that the
// server itself cut: a part is never taken for the whole. A base that does not
// exist is ErrUnavailable as well, unless the search is for that entry alone.
func (c *Connector) Search(ctx context.Context, query Query) ([]*Entry, error) {
	query = c.complete(query)
	var got answer
	q := &question{to: searches, what: "search of ", about: query.Base, put: func(l *ldap.Conn) (err error) {
		got, err = c.searchOn(l, query)
		return err
	}}
	if err := c.ask(ctx, q); err != nil {
		return nil, err
	}
	if len(got.referrals) > 0 && c.c.Referrals == FollowReferrals {
		if err := c.follow(ctx, q, query, &got); err != nil {
			return nil, err
		}
	}
	return c.within(query, got)
}

// complete fills in what a query leaves to the configuration.
func (c *Connector) complete(q Query) Query {
	if q.Base == "" {
		q.Base = c.c.Base
	}
	if len(q.Attributes) == 0 {
		q.Attributes = c.defaults
	}
	if len(q.Attributes) == 0 {
		q.Attributes = noAttributes // none would be all
	}
	return q
}

// answer is what a server answers to a search.
type answer struct {
	entries   []*Entry
	referrals []referral
	cut       bool // there are more entries
}

// limit is how many entries a query may have.
func (c *Connector) limit(q Query) int {
	if q.Limit > 0 {
		return q.Limit
	}
	return c.c.MaxEntries
}

// within holds an answer against the limits of its query.
func (c *Connector) within(q Query, a answer) ([]*Entry, error) {
	limit, n := c.limit(q), len(a.entries)
	switch {
	case n < limit && !a.cut, n == limit && !a.cut:
		return a.entries, nil
	case q.Limit == 0 && n > limit:
		return nil, unavailable("search of %s: there are more than %d entries", q.Base, limit)
	case q.Limit == 0 || n < limit:
		return nil, unavailable("search of %s: the server cut its answer after %d entries", q.Base, n)
	case c.c.Several == SeveralIsFirst:
		return a.entries[:limit], nil
	}
	return nil, ErrSeveral
}

// searchOn searches on one connection.
func (c *Connector) searchOn(l *ldap.Conn, q Query) (a answer, err error) {
	scope := [...]int{Subtree: ldap.ScopeWholeSubtree, OneLevel: ldap.ScopeSingleLevel, Base: ldap.ScopeBaseObject}[q.Scope]
	limit := c.limit(q)
	// The server need not work on what nobody waits for any more.
	seconds := int(math.Ceil(c.c.Timeout.Seconds())) + 1
	req := ldap.NewSearchRequest(q.Base, scope, ldap.NeverDerefAliases, limit+1, seconds, false, q.Filter, q.Attributes, nil)
	var page *ldap.ControlPaging
	if c.c.Type == ActiveDirectory && limit >= adPage {
		page = ldap.NewControlPaging(adPage / 2)
		req.Controls = []ldap.Control{page}
	}
	for {
		res, err := l.Search(req)
		if res != nil {
			a.take(res)
		}
		switch code(err) {
		case ldap.LDAPResultSuccess:
		case ldap.LDAPResultSizeLimitExceeded:
			a.cut = true
			return a, nil
		case ldap.LDAPResultNoSuchObject:
			return a, c.noBase(q, err)
		case ldap.LDAPResultReferral:
			to := referralOf(err)
			if c.c.Referrals == FollowReferrals && len(to) > 0 {
				a.referrals = append(a.referrals, to)
				return a, nil
			}
			return a, elsewhere{err, to}
		default:
			return a, err
		}
		if page == nil || len(a.entries) > limit || !nextPage(page, res) {
			return a, nil
		}
	}
}

// adPage is how many entries Active Directory answers at most at once
// (MaxPageSize).
const adPage = 1000

// nextPage makes a request ask for the next page (RFC 2696), and reports
// whether there is one.
func nextPage(page *ldap.ControlPaging, res *ldap.SearchResult) bool {
	got, ok := ldap.FindControl(res.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
	if !ok || len(got.Cookie) == 0 {
		return false
	}
	page.SetCookie(got.Cookie)
	return true
}

// noBase says what it means that a base does not exist: that there is no such
// entry when only that was asked for, else that the server lacks the part of
// the directory which it should have. That must not look like an unknown user.
func (c *Connector) noBase(q Query, err error) error {
	switch {
	case q.Base == c.c.Base:
		return elsewhere{err, nil}
	case q.Scope == Base:
		return nil
	}
	return err
}

func (a *answer) take(res *ldap.SearchResult) {
	if a.entries == nil {
		a.entries = make([]*Entry, 0, len(res.Entries))
	}
	for _, e := range res.Entries {
		entry := &Entry{DN: e.DN, attributes: make([]attribute, len(e.Attributes))}
		for i, of := range e.Attributes {
			entry.attributes[i] = attribute{of.Name, of.Values}
		}
		a.entries = append(a.entries, entry)
	}
	for _, uri := range res.Referrals {
		a.referrals = append(a.referrals, referral{uri})
	}
}
