package embedded

import (
	"slices"
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
	if at := n.catchAlls[domainOf(n.canonical(key))]; !ok && at != (place{}) {
		w.reach(at)
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
		if w.names.accounts[name] != nil {
			w.reach(place{name: name})
			continue
		}
		if at := w.names.folders[name]; at != (place{}) {
			w.reach(at)
			continue
		}
		for _, to := range slices.Concat(w.names.aliases.to[name], w.names.inside.to[name]) {
			if next, ok := w.target(to); ok {
				waiting = append(waiting, next)
			}
		}
	}
}

// reach adds a place, unless its account is disabled.
func (w *walk) reach(at place) {
	if a := w.names.accounts[at.name]; a != nil && a.disabled {
		w.disabled = true
		return
	}
	mark := at.name + "\x00" + at.folder // no name holds NUL
	if r, ok := w.names.recipient(at); ok && !w.seen[mark] {
		w.seen[mark] = true
		w.found = append(w.found, r)
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
