package embedded

import (
	"strings"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/mail"
)

// walk follows aliases.
type walk struct {
	names    *names
	seen     map[string]bool
	found    []directory.Recipient
	disabled bool // somebody was left out because the account is disabled
}

// resolve follows an address to accounts and foreign addresses.
func (n *names) resolve(a mail.Address) ([]directory.Recipient, error) {
	key := a.Key()
	if a.Domain() == "" {
		if !strings.EqualFold(a.Local(), "postmaster") {
			return nil, directory.ErrNotLocal
		}
		key = "postmaster@" + n.primary()
	} else if !n.local(domainOf(key)) {
		return nil, directory.ErrNotLocal
	}
	w := walk{names: n, seen: make(map[string]bool)}
	name, ok := n.find(key)
	if ok {
		w.follow(name)
	}
	if len(w.found) == 0 && strings.HasPrefix(key, "postmaster@") {
		return n.postmaster()
	}
	switch {
	case len(w.found) > 0:
		return w.found, nil
	case w.disabled:
		return nil, directory.ErrDisabled
	}
	return nil, directory.ErrUnknown
}

// postmaster is who gets the mail of a postmaster that nobody was made: the
// postmaster of the primary domain, or else the first account
// (RFC 5321 §4.5.1).
func (n *names) postmaster() ([]directory.Recipient, error) {
	w := walk{names: n, seen: make(map[string]bool)}
	w.follow("postmaster@" + n.primary())
	if len(w.found) == 0 && n.first != nil {
		w.found = []directory.Recipient{{Account: n.first.name}}
	}
	if len(w.found) == 0 {
		return nil, directory.ErrUnknown
	}
	return w.found, nil
}

// follow adds whom a name leads to. Each name is followed once, so a loop
// ends and nobody is found twice.
func (w *walk) follow(name string) {
	waiting := []string{name}
	for len(waiting) > 0 {
		name, waiting = waiting[0], waiting[1:]
		if w.seen[name] {
			continue
		}
		w.seen[name] = true
		if a := w.names.accounts[name]; a != nil {
			if a.disabled {
				w.disabled = true
			} else {
				w.found = append(w.found, directory.Recipient{Account: a.name})
			}
			continue
		}
		for _, to := range w.names.aliases[name] {
			if next, ok := w.target(to); ok {
				waiting = append(waiting, next)
			}
		}
	}
}

// target returns the name that an alias leads to; a foreign address is found
// at once.
func (w *walk) target(to string) (name string, ok bool) {
	a, err := mail.ParseAddress(to)
	if err != nil {
		return "", false
	}
	key := a.Key()
	if w.names.local(domainOf(key)) {
		return w.names.find(key)
	}
	if !w.seen[key] {
		w.seen[key] = true
		w.found = append(w.found, directory.Recipient{Forward: a})
	}
	return "", false
}
