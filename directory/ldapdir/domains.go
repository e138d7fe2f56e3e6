package ldapdir

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/posthouse-mail/posthouse/directory/ldap"
	"github.com/posthouse-mail/posthouse/mail"
)

// domains are local domains in normal form.
type domains struct {
	all []string // the primary one first
	of  map[string]string
}

// searched is what the last search for domains found.
type searched struct {
	mu      sync.Mutex
	domains domains
	until   time.Time // zero: nothing was found yet
}

// fixedDomains are those that stand in options.
func fixedDomains(o Options) (domains, error) {
	d := domains{of: make(map[string]string)}
	for _, domain := range o.Domains {
		key, err := domainKey(domain)
		if err != nil {
			return d, err
		}
		d.add(key)
	}
	for alias, domain := range o.DomainAliases {
		from, err := domainKey(alias)
		if err != nil {
			return d, err
		}
		to, err := domainKey(domain)
		if err != nil {
			return d, err
		}
		d.of[from] = to
	}
	return d, nil
}

func domainKey(domain string) (string, error) {
	a, err := mail.Postmaster.WithDomain(domain)
	if err != nil {
		return "", fmt.Errorf("domain %.80q: %w", domain, err)
	}
	return mail.DomainKey(a.Domain()), nil
}

func (d *domains) add(key string) {
	if !slices.Contains(d.all, key) {
		d.all = append(d.all, key)
	}
}

func (d *domains) local(key string) bool { return d.of[key] != "" || slices.Contains(d.all, key) }

func (d *domains) primary() string {
	if len(d.all) == 0 {
		return ""
	}
	return d.all[0]
}

// canonical returns an address with the domain that its domain is an alias of.
func (d *domains) canonical(key string) string {
	local, domain := cut(key)
	if to := d.of[domain]; to != "" {
		return local + "@" + to
	}
	return key
}

// domains returns the local domains. When they can't be searched for, those of
// the last search are still good: an outage makes no domain foreign.
func (d *Directory) domains(ctx context.Context) (domains, error) {
	if d.o.DomainSearch.Filter == "" {
		return d.fixed, nil
	}
	d.searched.mu.Lock()
	last, until := d.searched.domains, d.searched.until
	d.searched.mu.Unlock()
	if time.Now().Before(until) {
		return last, nil
	}
	asked := d.asking.DoChan("", func() (any, error) { return d.searchDomains(context.WithoutCancel(ctx)) })
	select {
	case r := <-asked:
		if r.Err == nil {
			return r.Val.(domains), nil
		}
		if !until.IsZero() {
			return last, nil
		}
		return domains{}, unavailable(r.Err)
	case <-ctx.Done():
		return domains{}, unavailable(ctx.Err())
	}
}

func (d *Directory) searchDomains(ctx context.Context) (domains, error) {
	s := d.o.DomainSearch
	if s.Attribute == "" {
		s.Attribute = "associatedDomain"
	}
	if s.TTL == 0 {
		s.TTL = time.Minute
	}
	entries, err := d.ldap.Search(ctx, ldap.Query{Base: s.Base, Filter: ldap.Filter(s.Filter).ForUser("", ""), Attributes: []string{s.Attribute}})
	if err != nil {
		return domains{}, err
	}
	var found []string
	for _, e := range entries {
		for _, name := range e.All(s.Attribute) {
			if key, err := domainKey(name); err == nil {
				found = append(found, key)
			}
		}
	}
	slices.Sort(found) // whatever order the server has: the primary domain must stay
	all := domains{all: slices.Clone(d.fixed.all), of: d.fixed.of}
	for _, key := range found {
		all.add(key)
	}
	d.searched.mu.Lock()
	defer d.searched.mu.Unlock()
	d.searched.domains, d.searched.until = all, time.Now().Add(s.TTL)
	return all, nil
}

// Local reports whether a domain is one of this directory.
func (d *Directory) Local(ctx context.Context, domain string) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, unavailable(err)
	}
	all, err := d.domains(ctx)
	if err != nil {
		return false, err
	}
	return all.local(mail.DomainKey(domain)), nil
}
