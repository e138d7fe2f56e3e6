package embedded

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/mail"
)

// names is the directory in memory. Everything in it is in normal form
// (mail.Address.Key), but foreign addresses stand as they were written.
type names struct {
	domains       []string // the primary one first
	owned         map[string]bool
	domainAliases map[string]string // to domains
	catchAlls     map[string]place  // of domains
	accounts      map[string]*account
	aliases       relation         // to accounts, groups, folders, other aliases and foreign addresses
	groups        map[string]bool  // that there are
	inside        relation         // groups to their members
	folders       map[string]place // addresses of mailboxes
	made          uint64           // how many accounts were ever made
	first         *account         // who is postmaster when nobody else is
	stale         bool             // first has to be found again, see findFirst

	withPassword int            // accounts that have one
	withSecret   map[string]int // and of these, those with a secret, by its scheme
}

type account struct {
	name     string
	password string
	secrets  map[string]string // replaced, never changed
	disabled bool
	host     string
	number   uint64 // ascending as accounts were made
}

func newNames() *names {
	return &names{
		owned:         make(map[string]bool),
		domainAliases: make(map[string]string),
		catchAlls:     make(map[string]place),
		accounts:      make(map[string]*account),
		aliases:       newRelation(),
		groups:        make(map[string]bool),
		inside:        newRelation(),
		folders:       make(map[string]place),

		withSecret: make(map[string]int),
	}
}

// nameKey is the normal form of an address that is to be a name. It must read
// as an address itself, so a local part that needs quotes is refused.
func nameKey(address string) (string, error) {
	a, err := mail.ParseAddress(address)
	if err != nil {
		return "", err
	}
	key := a.Key()
	if b, err := mail.ParseAddress(key); err != nil || b.Key() != key || a.Domain() == "" {
		return "", fmt.Errorf("%w: %q can't be a name", mail.ErrBadAddress, address)
	}
	return key, nil
}

// domainOf is what stands behind the last @ of a key.
func domainOf(key string) string { return key[strings.LastIndexByte(key, '@')+1:] }

// withoutTag takes the sub-address off a key; ok is false when it has none.
func withoutTag(key string) (string, bool) {
	at := strings.LastIndexByte(key, '@')
	if at < 0 {
		return "", false
	}
	plus := strings.IndexByte(key[:at], '+')
	if plus < 1 {
		return "", false
	}
	return key[:plus] + key[at:], true
}

// local reports whether a domain is one of this directory, under any name.
func (n *names) local(domain string) bool { return n.owned[domain] || n.domainAliases[domain] != "" }

// canonical replaces the alias of a domain in a key by the domain.
func (n *names) canonical(key string) string {
	domain := domainOf(key)
	if to := n.domainAliases[domain]; to != "" {
		return strings.TrimSuffix(key, domain) + to
	}
	return key
}

func (n *names) primary() string {
	if len(n.domains) == 0 {
		return ""
	}
	return n.domains[0]
}

// free reports whether a name can be given away.
func (n *names) free(key string) error {
	switch {
	case !n.owned[domainOf(key)]:
		return directory.ErrNotLocal
	case n.has(key):
		return directory.ErrExists
	}
	return nil
}

// has reports whether a key is a name.
func (n *names) has(key string) bool {
	return n.accounts[key] != nil || len(n.aliases.to[key]) > 0 || n.groups[key] || n.folders[key] != place{}
}

// key is the normal form of a main address, or of a local part in the primary
// domain.
func (n *names) key(login string) (string, error) {
	if !strings.Contains(login, "@") {
		login += "@" + n.primary()
	}
	a, err := mail.ParseAddress(login)
	if err != nil {
		return "", err
	}
	return n.canonical(a.Key()), nil
}

// login finds the account of a login. A login that is no address is unknown.
func (n *names) login(login string) (directory.Account, error) {
	key, err := n.key(login)
	if err != nil {
		return directory.Account{}, directory.ErrUnknown
	}
	if n.accounts[key] == nil {
		if short, ok := withoutTag(key); ok {
			key = short
		}
	}
	return n.account(key)
}

func (n *names) account(key string) (directory.Account, error) {
	a := n.accounts[key]
	if a == nil {
		return directory.Account{}, directory.ErrUnknown
	}
	return directory.Account{
		Name: a.name, Password: a.password, Secrets: maps.Clone(a.secrets), Disabled: a.disabled, Host: a.host,
		Aliases: slices.Clone(n.aliases.back[key]),
	}, nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// target checks where an alias shall lead and returns it as it is kept.
func (n *names) target(to string) (string, error) {
	if !strings.Contains(to, "@") {
		to += "@" + n.primary()
	}
	a, err := mail.ParseAddress(to)
	if err != nil {
		return "", err
	}
	if !n.local(mail.DomainKey(a.Domain())) {
		return a.String(), nil
	}
	name, ok := n.find(a.Key())
	if !ok {
		return "", directory.ErrUnknown
	}
	return name, nil
}

// find returns the name that a key means, itself or without its sub-address.
func (n *names) find(key string) (string, bool) {
	key = n.canonical(key)
	for range 2 {
		if n.has(key) {
			return key, true
		}
		short, ok := withoutTag(key)
		if !ok {
			break
		}
		key = short
	}
	return "", false
}

// changeFirst notes that a may have become first, or may no longer be.
func (n *names) changeFirst(a *account) {
	if n.first == nil || n.rank(a) <= n.rank(n.first) {
		n.stale = true
	}
}

// findFirst makes sure that first is who it should be.
func (n *names) findFirst() {
	if !n.stale {
		return
	}
	n.first, n.stale = nil, false
	for _, a := range n.accounts {
		if !a.disabled && (n.first == nil || n.rank(a) < n.rank(n.first)) {
			n.first = a
		}
	}
}

// rank orders accounts for the office of postmaster: those of the primary
// domain first, then by age.
func (n *names) rank(a *account) uint64 {
	const foreign = 1 << 63
	if domainOf(a.name) == n.primary() {
		return a.number
	}
	return foreign | a.number
}
