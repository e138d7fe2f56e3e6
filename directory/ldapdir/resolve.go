package ldapdir

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/directory/ldap"
	"github.com/posthouse-mail/posthouse/mail"
)

// maxSteps bounds the entries that one address leads to, over groups and
// forwards. Each may take a few searches.
const maxSteps = 10_000

// walk follows groups and forwards.
type walk struct {
	d        *Directory
	ctx      context.Context
	domains  domains
	waiting  []found
	seen     map[string]bool // DNs, account names and foreign addresses
	found    []directory.Recipient
	disabled bool // somebody was left out because the account is disabled
}

// Resolve returns who gets the mail of an address.
func (d *Directory) Resolve(ctx context.Context, a mail.Address) ([]directory.Recipient, error) {
	if err := ctx.Err(); err != nil {
		return nil, unavailable(err)
	}
	all, err := d.domains(ctx)
	if err != nil {
		return nil, err
	}
	key := a.Key()
	if a == mail.Postmaster {
		key += "@" + all.primary()
	}
	local, domain := cut(key)
	switch {
	case a == mail.Postmaster && domain == "":
		return nil, directory.ErrUnknown
	case !all.local(domain):
		return nil, directory.ErrNotLocal
	}
	w := &walk{d: d, ctx: ctx, domains: all, seen: make(map[string]bool)}
	known, err := w.follow(key)
	if err == nil && len(w.found) == 0 && local == mail.Postmaster.Local() {
		err = w.postmaster()
	} else if err == nil && !known {
		err = w.catchAll(key)
	}
	switch {
	case err != nil:
		return nil, err
	case len(w.found) > 0:
		return w.found, nil
	case w.disabled:
		return nil, directory.ErrDisabled
	}
	return nil, directory.ErrUnknown
}

// follow adds whom an address of a local domain leads to.
func (w *walk) follow(key string) (known bool, err error) {
	f, err := w.d.find(w.ctx, w.domains.canonical(key))
	if err != nil || f == nil {
		return false, err
	}
	return true, w.run(*f)
}

// run adds whom something leads to. Each entry is followed once, so a loop
// ends and nobody is found twice.
func (w *walk) run(f found) error {
	w.waiting = append(w.waiting, f)
	for len(w.waiting) > 0 {
		f, w.waiting = w.waiting[0], w.waiting[1:]
		if dn := strings.ToLower(f.entry.DN); w.seen[dn] {
			continue
		} else if w.seen[dn] = true; len(w.seen) > maxSteps {
			return unavailable(fmt.Errorf("the address leads to more than %d", maxSteps))
		}
		err := error(nil)
		if f.group {
			err = w.members(f.entry)
		} else {
			err = w.reach(f.entry)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) members(group *ldap.Entry) error {
	members, err := w.d.ldap.Members(w.ctx, group.DN)
	if err != nil {
		return unavailable(err)
	}
	for _, e := range members {
		w.waiting = append(w.waiting, found{entry: e})
	}
	return nil
}

// reach adds where the mail of an account or a contact goes.
func (w *walk) reach(e *ldap.Entry) error {
	name := w.d.config.MainAddress(e)
	forward := e.Get(w.d.config.Attributes.Forward)
	switch {
	case w.d.config.Disabled(e):
		w.disabled = true
		return nil
	case forward != "":
		return w.forward(e, forward)
	case name == "":
		return nil // of a group, perhaps a machine: nobody who has mail
	}
	w.addEntry(e)
	return nil
}

// forward follows the address to which the mail of an entry goes instead. One
// that is its own means the account itself.
func (w *walk) forward(e *ldap.Entry, to string) error {
	a, err := mail.ParseAddress(to)
	if err != nil {
		return unavailable(fmt.Errorf("%s of the entry %q: %w", w.d.config.Attributes.Forward, e.DN, err))
	}
	_, domain := cut(a.Key())
	if !w.domains.local(domain) {
		w.addForeign(a)
		return nil
	}
	f, err := w.d.find(w.ctx, w.domains.canonical(a.Key()))
	switch {
	case err != nil || f == nil:
		return err
	case strings.EqualFold(f.entry.DN, e.DN):
		w.addEntry(e)
		return nil
	}
	w.waiting = append(w.waiting, *f)
	return nil
}

// addEntry adds an account, or the contact elsewhere that an entry is.
func (w *walk) addEntry(e *ldap.Entry) {
	name := w.d.config.MainAddress(e)
	if _, domain := cut(name); w.domains.local(domain) {
		w.add(name)
		return
	}
	for _, written := range slices.Concat(e.All(w.d.config.Attributes.Mail), []string{name}) { // as it is written where it can be
		if a, err := mail.ParseAddress(written); err == nil && a.Key() == name {
			w.addForeign(a)
			return
		}
	}
}

func (w *walk) add(account string) {
	if !w.seen[account] {
		w.seen[account] = true
		w.found = append(w.found, directory.Recipient{Account: account})
	}
}

func (w *walk) addForeign(a mail.Address) {
	if key := a.Key(); !w.seen[key] {
		w.seen[key] = true
		w.found = append(w.found, directory.Recipient{Forward: a})
	}
}

// catchAll adds who gets the unknown addresses of a domain: who has the alias
// "@domain".
func (w *walk) catchAll(key string) error {
	_, domain := cut(w.domains.canonical(key))
	f, err := w.d.findExactly(w.ctx, "@"+domain)
	if err != nil || f == nil {
		return err
	}
	return w.run(*f)
}
