package ldapmap

import (
	"errors"
	"fmt"

	"github.com/posthouse-mail/posthouse/directory/ldap"
	"github.com/posthouse-mail/posthouse/mapping"
)

// Kinds of entries that lead nowhere. Map wraps them into
// mapping.ErrUnavailable.
var (
	ErrNoHost       = errors.New("no host attribute is configured")
	ErrMissingHost  = errors.New("the entry has no host attribute")
	ErrSeveralHosts = errors.New("the entry has several hosts")
	ErrBadRoute     = errors.New("the entry's host, or its name at the back end, is malformed") // with mapping.ErrBadRoute
)

// Route reads the route in an entry. Errors name the entry and what is
// missing in it, and are of the kinds of this package.
func (m *Mapper) Route(e *ldap.Entry) (mapping.Route, error) {
	attribute := m.config.Attributes.Host
	if attribute == "" {
		return mapping.Route{}, ErrNoHost
	}
	hosts := e.All(attribute)
	switch {
	case len(hosts) == 0 || len(hosts) == 1 && hosts[0] == "":
		return mapping.Route{}, fmt.Errorf("%w: the entry %q has no %s", ErrMissingHost, e.DN, attribute)
	case len(hosts) > 1:
		return mapping.Route{}, fmt.Errorf("%w: the entry %q has %d values of %s", ErrSeveralHosts, e.DN, len(hosts), attribute)
	}
	r, err := mapping.ParseRoute(hosts[0])
	if err != nil {
		return mapping.Route{}, fmt.Errorf("%w: %s of the entry %q: %w", ErrBadRoute, attribute, e.DN, err)
	}
	if r.Port == 0 {
		r.Port = m.o.Port
	}
	if r.TLS == mapping.TLSDefault {
		r.TLS = m.o.TLS
	}
	if name := e.Get(m.o.User); m.o.User != "" && name != "" {
		r.User = name
	}
	if err := r.Check(); err != nil {
		return mapping.Route{}, fmt.Errorf("%w: the entry %q: %w", ErrBadRoute, e.DN, err)
	}
	return r, nil
}
