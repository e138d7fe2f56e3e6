// Package ldapdir is a directory of mail addresses that stands in LDAP alone:
// entries are accounts, aliases and contacts, groups are lists of them.
//
// Invariants of this package:
//
//   - It reads only, and each answer is what LDAP says at that moment.
//   - Unknown (directory.ErrUnknown) and "LDAP can't answer", for whatever
//     reason (directory.ErrUnavailable), are never confused: several entries
//     for one address, a group that is too large, or a forward that is no
//     address are the latter.
//   - An answer takes a bounded number of searches, each within the bounds of
//     the connector.
package ldapdir

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/directory/ldap"
	"github.com/posthouse-mail/posthouse/mail"
)

// Searcher is what is asked. An *ldap.Connector is one.
type Searcher interface {
	Search(ctx context.Context, q ldap.Query) ([]*ldap.Entry, error)
	Members(ctx context.Context, group string) ([]*ldap.Entry, error)
	GroupsOf(ctx context.Context, e *ldap.Entry) ([]string, error)
	Config() ldap.Config
}

// Options say what is where. A zero field means what its comment says.
type Options struct {
	Domains       []string          // local domains, the primary one first
	DomainSearch  DomainSearch      // finds further ones; zero: there are none
	DomainAliases map[string]string // local domains in which every address leads as in another one

	// Filter finds who has an address, which stands for %e. Empty: by
	// ldap.Attributes.Mail and Aliases, of Active Directory by
	// userPrincipalName, and by the aliases with "smtp:" before them, too.
	// Aliases "@domain" are catch-alls: they get what nobody else has.
	Filter ldap.Filter

	// Postmaster is the address that gets the mail of postmaster in all local
	// domains in which no entry has that address (RFC 5321 §4.5.1). Empty: the
	// account of the primary domain, or else of any, whose name is the first
	// in alphabetical order; with more entries than ldap.Config.MaxEntries
	// that is directory.ErrUnavailable, and somebody should be named here.
	Postmaster string
}

// DomainSearch finds local domains.
type DomainSearch struct {
	Base      string        // empty: ldap.Config.Base
	Filter    string        // of entries, "(objectClass=domain)"; empty: there is no search
	Attribute string        // that holds their names; empty: associatedDomain
	TTL       time.Duration // how long what was found is good; 0: one minute. While LDAP can't answer, it is good for longer
}

// Directory is a directory in LDAP. It has the powers directory.Accounts and
// directory.Memberships, and is safe for concurrent use.
//
// An entry is an account of the name ldap.Config.MainAddress when that is in a
// local domain, and a contact elsewhere when it is not. Its mail goes to its
// ldap.Attributes.Forward instead when it has one. What ldap.Groups.Filter
// finds is a group: mail to one of its addresses goes to all members, of
// groups in it, too. An account is disabled where ldap.Config.Disabled says so.
type Directory struct {
	ldap       Searcher
	config     ldap.Config
	o          Options
	attributes []string // that are read of each entry
	groups     string   // the filter
	fixed      domains  // of Options
	asking     singleflight.Group
	searched   searched
}

var (
	_ directory.Directory   = (*Directory)(nil)
	_ directory.Accounts    = (*Directory)(nil)
	_ directory.Memberships = (*Directory)(nil)
)

// New returns a Directory. It asks nothing yet. A bad filter is
// ldap.ErrConfig, a bad domain or postmaster mail.ErrBadAddress.
func New(s Searcher, o Options) (*Directory, error) {
	d := &Directory{ldap: s, config: s.Config(), o: o}
	d.groups = ldap.Filter(d.config.Groups.Filter).ForUser("", "")
	if d.o.Filter == "" {
		d.o.Filter = defaultFilter(&d.config)
	}
	for _, f := range []ldap.Filter{d.o.Filter, ldap.Filter(o.DomainSearch.Filter)} {
		if f != "" {
			if err := f.Check(); err != nil {
				return nil, err
			}
		}
	}
	if o.Postmaster != "" {
		if _, err := mail.ParseAddress(o.Postmaster); err != nil {
			return nil, fmt.Errorf("postmaster: %w", err)
		}
	}
	var err error
	if d.fixed, err = fixedDomains(o); err != nil {
		return nil, err
	}
	a := d.config.Attributes
	for _, name := range append([]string{a.Mail, a.Aliases, a.Login, a.Forward, a.Host, a.Member, a.MemberOf}, d.config.AccountAttributes()...) {
		if name != "" {
			d.attributes = append(d.attributes, name)
		}
	}
	return d, nil
}

// defaultFilter finds an address by the attributes that hold addresses.
func defaultFilter(c *ldap.Config) ldap.Filter {
	f := "(" + c.Attributes.Mail + "=%e)"
	if c.Attributes.Aliases != "" {
		f += "(" + c.Attributes.Aliases + "=%e)"
	}
	if c.Type == ldap.ActiveDirectory {
		f += "(userPrincipalName=%e)(" + c.Attributes.Aliases + "=" + smtpPrefix + "%e)"
	}
	return ldap.Filter("(|" + f + ")")
}

// smtpPrefix stands before addresses in proxyAddresses of Active Directory,
// in capitals before the main one.
const smtpPrefix = "smtp:"

func unavailable(err error) error { return fmt.Errorf("%w: %w", directory.ErrUnavailable, err) }
