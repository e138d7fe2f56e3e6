package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/accountauth"
	"github.com/posthouse-mail/posthouse/auth/ldapauth"
	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/directory/ldap"
	"github.com/posthouse-mail/posthouse/directory/ldapdir"
)

// Where logins are checked. A list of sources is asked in its order.
const (
	fromAccounts = "accounts" // the passwords of the node's own directory
	fromLDAP     = "ldap:"    // a connector, by its name in the configuration
)

// logins are who checks logins: each list of sources that a service names is
// a chain, with a cache, and all of them count failures together.
type logins struct {
	connectors map[string]*ldap.Connector
	throttle   *auth.Throttle // over nobody: what each chain's own shares its counts with
	chains     map[string]auth.Authenticator
	caches     []*auth.Cache
}

// openLogins connects to nothing: a directory that is down does not keep a
// node from serving its own accounts.
func (o *opened) openLogins(c *Config) error {
	l := &logins{connectors: map[string]*ldap.Connector{}, chains: map[string]auth.Authenticator{}}
	o.logins = l
	for name, config := range c.LDAP {
		connector, err := config.connector()
		if err != nil {
			return fmt.Errorf("ldap.%s: %w", name, err)
		}
		l.connectors[name] = connector
	}
	if err := o.openResolver(c); err != nil {
		return err
	}
	for _, s := range c.services() {
		if err := l.add(o, c, c.sources(s.config)); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// openResolver adds what LDAP directories know of addresses to what the node's
// own knows.
func (o *opened) openResolver(c *Config) error {
	all := []directory.Directory{o.directory}
	for _, name := range slices.Sorted(maps.Keys(c.LDAP)) {
		if len(c.LDAP[name].Domains) == 0 {
			continue
		}
		d, err := ldapdir.New(o.logins.connectors[name], ldapdir.Options{Domains: c.LDAP[name].Domains})
		if err != nil {
			return fmt.Errorf("ldap.%s: %w", name, err)
		}
		all = append(all, d)
	}
	o.resolver = directory.Chain(all...)
	return nil
}

// sources returns where the logins of a service are checked.
func (c *Config) sources(s *ServiceConfig) []string {
	if len(s.Auth) > 0 {
		return s.Auth
	}
	return c.Auth.Sources
}

// add makes the chain of a list of sources, from the outside in: failures slow
// their user and their network down, a success is remembered, and otherwise
// the first source that knows the user decides.
func (l *logins) add(o *opened, c *Config, sources []string) error {
	key := strings.Join(sources, " ")
	if l.chains[key] != nil {
		return nil
	}
	var links []auth.Authenticator
	for _, source := range sources {
		link, err := l.source(o, c, source)
		if err != nil {
			return err
		}
		links = append(links, link)
	}
	cache := auth.NewCache(auth.Chain(links...), auth.CacheOptions{})
	l.caches = append(l.caches, cache)
	if l.throttle == nil {
		l.throttle = auth.NewThrottle(cache, auth.ThrottleOptions{})
		l.chains[key] = l.throttle
	} else {
		l.chains[key] = l.throttle.Over(cache)
	}
	return nil
}

func (l *logins) source(o *opened, c *Config, source string) (auth.Authenticator, error) {
	if source == fromAccounts {
		return accountauth.New(o.directory), nil
	}
	name, ok := strings.CutPrefix(source, fromLDAP)
	connector := l.connectors[name]
	if !ok || connector == nil {
		return nil, fmt.Errorf("auth: %q is neither \"accounts\" nor \"ldap:\" and a name under [ldap]", source)
	}
	config := c.LDAP[name]
	link := ldapauth.New(connector, config.authOptions())
	if len(config.Domains) > 0 {
		return link, nil
	}
	return accountauth.Provision(link, o.directory, func(_ context.Context, domain string) bool {
		return c.Domains[domain].CreateFromLDAP
	}), nil
}

// of returns who checks the logins of a service.
func (l *logins) of(sources []string) auth.Authenticator { return l.chains[strings.Join(sources, " ")] }

// forget drops what is remembered of a user whose password has changed.
func (l *logins) forget(user string) {
	for _, c := range l.caches {
		c.Forget(user)
	}
}

// Close closes the connections to directories.
func (l *logins) Close() error {
	var errs []error
	for _, c := range l.connectors {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// AuthConfig says where logins are checked, unless a service says otherwise.
type AuthConfig struct {
	Sources []string `toml:"sources"` // "accounts", "ldap:NAME"; asked in order
}

func (c *Config) validateAuth() error {
	for name, l := range c.LDAP {
		if err := l.validate(); err != nil {
			return fmt.Errorf("ldap.%s: %w", name, err)
		}
	}
	for _, s := range c.services() {
		if slices.Contains(c.sources(s.config), "") || len(c.sources(s.config)) == 0 {
			return fmt.Errorf("%s: no source of logins", s.name)
		}
	}
	return nil
}
