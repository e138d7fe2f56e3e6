// Package ldapmap maps users to their back ends by an LDAP directory: an
// attribute of a user's entry names the host. It is the map type "LDAP search"
// over a connector that is anonymous, and "LDAP bind" over one that binds.
//
// Invariants of this package:
//
//   - A user without an entry is mapping.ErrNotMapped. An entry that leads
//     nowhere, several entries for one user, and a directory that can't answer
//     are mapping.ErrUnavailable, with the reason: who has an entry is never
//     told that he does not exist, nor sent anywhere else.
//   - It looks up each time, and takes any host that is one. Put a
//     mapping.Checked before it where none may be this machine itself, and a
//     mapping.Cache before that.
package ldapmap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/posthouse-mail/posthouse/directory/ldap"
	"github.com/posthouse-mail/posthouse/internal/seldom"
	"github.com/posthouse-mail/posthouse/mapping"
)

// Directory is what is asked. An *ldap.Connector is one.
type Directory interface {
	Lookup(ctx context.Context, user string, attributes ...string) (*ldap.Entry, error)
	Member(ctx context.Context, e *ldap.Entry, group string) (path []string, err error)
	Config() ldap.Config
}

// Options adjust a Mapper. A zero field means what its comment says.
type Options struct {
	User string          // attribute that holds the user's name at the back end; empty, or not in the entry: the name is unchanged
	Port int             // for hosts without one; 0: the protocol's own
	TLS  mapping.TLSMode // for hosts that don't say

	Logger   *slog.Logger  // of entries that lead nowhere; nil: slog.Default
	Interval time.Duration // how often one reason is logged at most; 0: one minute
}

// Mapper maps by the attribute that ldap.Attributes.Host names. Its values are
// as ParseRoute reads them: a host, or a host with port, user and TLS mode. A
// user is looked up as he is named, and then without a sub-address "+tag".
// Where ldap.Groups.Required names a group, who is not in it is not mapped.
type Mapper struct {
	directory Directory
	config    ldap.Config
	o         Options
	log       *seldom.Logger
}

var _ mapping.Mapper = (*Mapper)(nil)

// New returns a Mapper. Without an attribute for hosts, as with the defaults
// of Active Directory, every answer about a user who has an entry is
// mapping.ErrUnavailable.
func New(d Directory, o Options) *Mapper {
	return &Mapper{directory: d, config: d.Config(), o: o, log: seldom.New(o.Logger, o.Interval)}
}

// Map returns the route of a user.
func (m *Mapper) Map(ctx context.Context, user string) (mapping.Route, error) {
	entry, err := m.find(ctx, user)
	if err != nil {
		return mapping.Route{}, err
	}
	if group := m.config.Groups.Required; group != "" {
		path, err := m.directory.Member(ctx, entry, group)
		if err != nil {
			return mapping.Route{}, unavailable(err)
		}
		if len(path) == 0 {
			return mapping.Route{}, fmt.Errorf("%w: the entry %q is not in the group %q", mapping.ErrNotMapped, entry.DN, group)
		}
	}
	route, err := m.Route(entry)
	if err != nil {
		m.log.Warn(ctx, err.Error(), "user can't be routed", "user", user, "entry", entry.DN, "err", err)
		return mapping.Route{}, unavailable(err)
	}
	return route, nil
}

// find returns the entry of the first of a user's names that has one.
func (m *Mapper) find(ctx context.Context, user string) (*ldap.Entry, error) {
	for _, name := range ldap.Names(user) {
		entry, err := m.directory.Lookup(ctx, name, m.attributes()...)
		switch {
		case err == nil:
			return entry, nil
		case errors.Is(err, ldap.ErrSeveral):
			m.log.Warn(ctx, "several "+name, "user can't be routed", "user", name, "err", err)
			return nil, unavailable(err)
		case !errors.Is(err, ldap.ErrNoEntry):
			return nil, unavailable(err)
		}
	}
	return nil, mapping.ErrNotMapped
}

func (m *Mapper) attributes() []string {
	if m.o.User == "" {
		return nil
	}
	return []string{m.o.User}
}

func unavailable(err error) error { return fmt.Errorf("%w: %w", mapping.ErrUnavailable, err) }
