package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/accountauth"
	"github.com/posthouse-mail/posthouse/auth/ldapauth"
	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/directory/ldap"
	"github.com/posthouse-mail/posthouse/directory/ldapdir"
	"github.com/posthouse-mail/posthouse/examples/internal/config"
)

// Where logins are checked. A list of sources is asked in its order.
const (
	fromAccounts = "accounts" // the passwords of the node's own directory
	fromLDAP     = "ldap:"    // a connector, by its name in the configuration
	fromFile     = "file:"    // a password file, by its path
	fromOAuth    = "oauth:"   // an issuer of tokens, by its name in the configuration
)

// logins are who checks logins: each list of sources that a service names is
// a chain, with a cache, and all of them count failures together.
type logins struct {
	connectors map[string]*ldap.Connector
	throttle   *auth.Throttle // over nobody: what each chain's own shares its counts with
	chains     map[string]auth.Authenticator
	caches     []*auth.Cache
	closers    []io.Closer
	background []func(ctx context.Context) // what keeps them up to date
}

// openLogins connects to nothing: a directory that is down does not keep a
// node from serving its own accounts.
func (o *opened) openLogins(c *Config) error {
	l := &logins{connectors: map[string]*ldap.Connector{}, chains: map[string]auth.Authenticator{}}
	o.logins = l
	for name, config := range c.LDAP {
		connector, err := config.Connector()
		if err != nil {
			return fmt.Errorf("ldap.%s: %w", name, err)
		}
		l.connectors[name] = connector
		l.closers = append(l.closers, connector)
		if config.Watch {
			l.background = append(l.background, func(ctx context.Context) { l.watch(ctx, name, connector) })
		}
	}
	if err := o.openResolver(c); err != nil {
		return err
	}
	for _, s := range c.services() {
		if err := l.add(o, c, c.sources(s.config)); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	actFor, err := o.actFor(c)
	if err != nil {
		return err
	}
	for key, chain := range l.chains {
		l.chains[key] = actFor(chain)
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
		all = append(all, c.Here(d))
	}
	o.resolver = directory.Chain(all...)
	return nil
}

// sharedDomains are those whose addresses LDAP directories know.
func (c *Config) sharedDomains() (domains []string) {
	for _, l := range c.LDAP {
		domains = append(domains, l.Domains...)
	}
	return domains
}

// sources returns where the logins of a service are checked.
func (c *Config) sources(s *config.Service) []string {
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
	chain, err := l.withTickets(o, c, auth.Chain(links...))
	if err != nil {
		return err
	}
	cache := auth.NewCache(chain, auth.CacheOptions{})
	l.caches = append(l.caches, cache)
	if l.throttle == nil {
		l.throttle = auth.NewThrottle(cache, auth.ThrottleOptions{Trusted: c.manyAt()})
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
	if path, ok := strings.CutPrefix(source, fromFile); ok {
		file, err := l.passwordFile(path, c.Domain)
		if err != nil {
			return nil, err
		}
		return provision(file, o, c), nil
	}
	if name, ok := strings.CutPrefix(source, fromOAuth); ok && c.OAuth[name] != nil {
		return l.issuer(o, c.OAuth[name])
	}
	name, ok := strings.CutPrefix(source, fromLDAP)
	connector := l.connectors[name]
	if !ok || connector == nil {
		return nil, fmt.Errorf("auth: %q is neither \"accounts\", \"file:\" and a path, nor \"ldap:\" or \"oauth:\" and a name under [ldap] or [oauth]", source)
	}
	config := c.LDAP[name]
	link := ldapauth.New(connector, config.AuthOptions())
	if len(config.Domains) > 0 {
		return link, nil
	}
	return provision(link, o, c), nil
}

// provision lets who logs in elsewhere have an account of the node, which is
// made at his first login where his domain allows that.
func provision(a auth.Authenticator, o *opened, c *Config) auth.Authenticator {
	return accountauth.Provision(a, o.directory, func(_ context.Context, domain string) bool {
		return c.Domains[domain].CreateAtLogin
	})
}

// of returns who checks the logins of a service.
func (l *logins) of(sources []string) auth.Authenticator { return l.chains[strings.Join(sources, " ")] }

// forget drops what is remembered of a user whose password has changed.
func (l *logins) forget(user string) {
	for _, c := range l.caches {
		c.Forget(user)
	}
}

// watch forgets users whose entries in a directory have changed, until ctx
// ends, or the directory does not tell of changes.
func (l *logins) watch(ctx context.Context, name string, c *ldap.Connector) {
	err := c.Watch(ctx, func(change ldap.Change) {
		for _, cache := range l.caches {
			if change.All {
				cache.ForgetAll()
			}
			for _, user := range change.Names() {
				cache.Forget(user)
			}
		}
	})
	if ctx.Err() == nil {
		slog.WarnContext(ctx, "changes of a directory are not followed, an old password may be good for some minutes", "ldap", name, "err", err)
	}
}

// run keeps the sources up to date until ctx ends.
func (l *logins) run(ctx context.Context, ready func()) error {
	ready()
	var all sync.WaitGroup
	for _, f := range l.background {
		all.Go(func() { f(ctx) })
	}
	all.Wait()
	<-ctx.Done()
	return nil
}

// Close closes the connections to directories.
func (l *logins) Close() error {
	var errs []error
	for _, c := range l.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
