package ldapdir

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/posthouse-mail/posthouse/directory/ldap"
	"github.com/posthouse-mail/posthouse/mail"
)

// postmaster adds who gets the mail of a postmaster that nobody was made: the
// postmaster of the primary domain, or who is named in the options, or the
// first account.
func (w *walk) postmaster() error {
	w.disabled = false
	_, err := w.follow(mail.Postmaster.Local() + "@" + w.domains.primary())
	if err != nil || len(w.found) > 0 {
		return err
	}
	if w.d.o.Postmaster == "" {
		return w.firstAccount()
	}
	a := mail.MustParseAddress(w.d.o.Postmaster) // New has
	if _, domain := cut(a.Key()); !w.domains.local(domain) {
		w.addForeign(a)
		return nil
	}
	_, err = w.follow(a.Key())
	return err
}

func (w *walk) firstAccount() error {
	c := &w.d.config
	entries, err := w.d.ldap.Search(w.ctx, ldap.Query{Filter: w.d.noGroup("(" + c.Attributes.Mail + "=*)"), Attributes: w.d.attributes})
	if err != nil {
		return unavailable(fmt.Errorf("no postmaster is named, and there is no first account: %w", err))
	}
	var names []string
	for _, e := range entries {
		name := c.MainAddress(e)
		if _, domain := cut(name); w.domains.local(domain) && !c.Disabled(e) && e.Get(c.Attributes.Forward) == "" {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		w.add(slices.MinFunc(names, w.domains.byRank))
	}
	return nil
}

// byRank orders names of accounts: those of the primary domain first.
func (d *domains) byRank(a, b string) int {
	rank := func(name string) int {
		if _, domain := cut(name); domain == d.primary() {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
}
