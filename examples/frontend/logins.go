package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/ldapauth"
	"github.com/posthouse-mail/posthouse/auth/passwdfile"
	"github.com/posthouse-mail/posthouse/examples/internal/config"
)

// logins are who checks logins before a back end is asked. All services count
// failures together; those that name no sources leave the checking to the back
// ends, and only slow guessing down.
type logins struct {
	throttle   *auth.Throttle
	background []func(ctx context.Context)
}

func openLogins(c *Config) *logins {
	var services []config.ProxyProtocol
	for _, s := range c.Services {
		services = append(services, s.ProxyProtocol)
	}
	return &logins{throttle: auth.NewThrottle(auth.Chain(), auth.ThrottleOptions{Trusted: config.Balancers(services...)})}
}

// of returns who checks the logins of a service; nil: its back ends do. From
// the outside in: failures slow their user and their network down, a success
// is remembered, and otherwise the first source that knows the user decides.
func (l *logins) of(c *Config, s *ServiceConfig, m *maps) (auth.Authenticator, error) {
	if len(s.Auth) == 0 {
		return nil, nil
	}
	var links []auth.Authenticator
	for _, source := range s.Auth {
		link, err := l.source(c, m, source)
		if err != nil {
			return nil, err
		}
		links = append(links, link)
	}
	return l.throttle.Over(auth.NewCache(auth.Chain(links...), auth.CacheOptions{})), nil
}

func (l *logins) source(c *Config, m *maps, source string) (auth.Authenticator, error) {
	if path, ok := strings.CutPrefix(source, fromFile); ok {
		file, err := passwdfile.Open(path, passwdfile.Options{})
		if err == nil {
			l.background = append(l.background, func(ctx context.Context) { file.Watch(ctx, 2*time.Second, slog.Default()) })
		}
		return file, err
	}
	name, ok := strings.CutPrefix(source, fromLDAP)
	if connector := m.connectors[name]; ok && connector != nil {
		return ldapauth.New(connector, c.LDAP[name].AuthOptions()), nil
	}
	return nil, fmt.Errorf("auth: %q is neither \"file:\" and a path, nor \"ldap:\" and a name under [ldap]", source)
}
