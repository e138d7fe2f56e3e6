package ldap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	ldap "github.com/go-ldap/ldap/v3"
)

// Connector asks an LDAP directory. It is safe for concurrent use.
type Connector struct {
	c Config // with its defaults

	mu   sync.Mutex
	shut bool
}

var _ Searcher = (*Connector)(nil)

// New checks a configuration and returns a Connector. It connects to nothing
// before it is asked. ErrConfig.
func New(c Config) (*Connector, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	return &Connector{c: c}, nil
}

// Close closes all connections. What is asked afterwards is ErrUnavailable.
func (c *Connector) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shut = true
	return nil
}

// Config returns the configuration with its defaults filled in, without the
// password.
func (c *Connector) Config() Config {
	config := c.c
	config.BindPassword = ""
	config.URIs = slices.Clone(config.URIs)
	return config
}

// UserFilter returns the filter by which Lookup finds a user.
func (c *Connector) UserFilter(user string) string {
	return Filter(c.c.Filter).ForUser(user, c.c.Domain)
}

// Lookup returns the entry of a user.
func (c *Connector) Lookup(ctx context.Context, user string, attributes ...string) (*Entry, error) {
	if user == "" || len(user) > maxUser || strings.ContainsRune(user, 0) {
		return nil, ErrNoEntry
	}
	found, err := c.Search(ctx, Query{
		Scope: c.c.Scope, Filter: c.UserFilter(user), Limit: 1,
		Attributes: append(c.c.Attributes.names(), attributes...),
	})
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, ErrNoEntry
	}
	return found[0], nil
}

// maxUser bounds the name of a user that is looked up, in octets.
const maxUser = 1024

// Search returns the entries that fit.
func (c *Connector) Search(ctx context.Context, q Query) ([]*Entry, error) {
	conn, err := c.dial()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if c.c.BindDN != "" {
		if err := conn.Bind(c.c.BindDN, c.c.BindPassword); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	if q.Base == "" {
		q.Base = c.c.Base
	}
	if q.Limit == 0 {
		q.Limit = c.c.MaxEntries
	}
	if len(q.Attributes) == 0 {
		q.Attributes = c.c.Attributes.names()
	}
	scope := map[Scope]int{Subtree: ldap.ScopeWholeSubtree, OneLevel: ldap.ScopeSingleLevel, Base: ldap.ScopeBaseObject}[q.Scope]
	res, err := conn.Search(ldap.NewSearchRequest(q.Base, scope, ldap.NeverDerefAliases, q.Limit+1, 0, false, q.Filter, q.Attributes, nil))
	var failed *ldap.Error
	switch {
	case errors.As(err, &failed) && failed.ResultCode == ldap.LDAPResultNoSuchObject:
		return nil, nil
	case err != nil && !(errors.As(err, &failed) && failed.ResultCode == ldap.LDAPResultSizeLimitExceeded):
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	var found []*Entry
	for _, e := range res.Entries {
		values := make(map[string][]string)
		for _, a := range e.Attributes {
			values[a.Name] = a.Values
		}
		found = append(found, NewEntry(e.DN, values))
	}
	if len(found) > q.Limit {
		if c.c.Several != SeveralIsFirst {
			return nil, ErrSeveral
		}
		found = found[:q.Limit]
	}
	return found, nil
}

// Bind checks a user's password. ErrPassword, ErrDisabled, ErrUnavailable; an
// empty password is ErrPassword without asking.
func (c *Connector) Bind(ctx context.Context, dn, password string) error {
	if dn == "" || password == "" {
		return ErrPassword
	}
	conn, err := c.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	var failed *ldap.Error
	if err = conn.Bind(dn, password); errors.As(err, &failed) && failed.ResultCode == ldap.LDAPResultInvalidCredentials {
		return ErrPassword
	} else if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// Member reports by which path an entry is in a group, directly or through
// groups in it: the DNs of the groups, the entry's own first; empty when it is
// not. ErrUnavailable.
func (c *Connector) Member(ctx context.Context, e *Entry, group string) (path []string, err error) {
	return nil, fmt.Errorf("%w: not yet", ErrUnavailable)
}

// GroupsOf returns the DNs of all groups that an entry is in, directly or
// through others, within Groups.Depth and Groups.Max. ErrUnavailable.
func (c *Connector) GroupsOf(ctx context.Context, e *Entry) ([]string, error) {
	return nil, fmt.Errorf("%w: not yet", ErrUnavailable)
}

// Members returns the entries, each once, that are in a group, directly or
// through groups in it, without the groups themselves. ErrUnavailable.
func (c *Connector) Members(ctx context.Context, group string) ([]*Entry, error) {
	return nil, fmt.Errorf("%w: not yet", ErrUnavailable)
}

func (c *Connector) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shut
}

// watchConn connects to one server, as the one whom searches are bound as.
func (c *Connector) watchConn(_ context.Context, uri string) (*ldap.Conn, error) {
	if c.isClosed() {
		return nil, fmt.Errorf("%w: it is closed", ErrUnavailable)
	}
	conn, err := ldap.DialURL(uri, ldap.DialWithTLSConfig(c.c.TLS))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	conn.SetTimeout(c.c.Timeout)
	if c.c.BindDN != "" {
		if err := conn.Bind(c.c.BindDN, c.c.BindPassword); err != nil {
			conn.Close()
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	return conn, nil
}

func (c *Connector) dial() (*ldap.Conn, error) {
	c.mu.Lock()
	shut := c.shut
	c.mu.Unlock()
	if shut {
		return nil, fmt.Errorf("%w: it is closed", ErrUnavailable)
	}
	conn, err := ldap.DialURL(c.c.URIs[0], ldap.DialWithTLSConfig(c.c.TLS))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	conn.SetTimeout(c.c.Timeout)
	return conn, nil
}
