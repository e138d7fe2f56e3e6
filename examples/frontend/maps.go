package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/posthouse-mail/posthouse/directory/ldap"
	"github.com/posthouse-mail/posthouse/examples/internal/config"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/mapping/httpmap"
	"github.com/posthouse-mail/posthouse/mapping/ldapmap"
)

// Where a map looks users up. A list of sources is asked in its order: the
// first that knows a user decides, and one that can't be asked ends the search.
const (
	fromStatic = "static:" // everybody lives at one route
	fromFile   = "file:"   // a file map, by its path
	fromLDAP   = "ldap:"   // an attribute in a directory, by its name in the configuration
	fromHTTP   = "http:"   // an HTTP server, likewise
)

// MapConfig is a user map.
type MapConfig struct {
	Sources  []string `toml:"sources"`        // "file:PATH", "ldap:NAME", "http:NAME", "static:ROUTE"
	User     string   `toml:"user_attribute"` // of LDAP, that holds the user's name at the back end; empty: as he logged in
	Loopback bool     `toml:"loopback"`       // what others write may lead to this machine itself

	// What a map says is remembered where directories or HTTP servers are among
	// its sources: for TTL (10m), that they know nobody of a name for Negative
	// (30s), and while they can't be asked for Stale more (1h).
	TTL      config.Duration `toml:"ttl"`
	Negative config.Duration `toml:"negative"`
	Stale    config.Duration `toml:"stale"`
}

// HTTPConfig is a server that nginx could ask by its auth_http protocol.
type HTTPConfig struct {
	URL     string `toml:"url"`
	KeyFile string `toml:"key_file"` // its first line is sent as X-Auth-Key
}

// maps are the user maps, and what is to be done for them.
type maps struct {
	mapping.Maps
	connectors map[string]*ldap.Connector
	files      []*mapping.File
	caches     []*mapping.Cache
	closers    []io.Closer
	background []func(ctx context.Context) // keeps them up to date
}

// openMaps connects to nothing: a directory that is down keeps nobody from
// starting.
func openMaps(c *Config) (*maps, error) {
	m := &maps{connectors: make(map[string]*ldap.Connector)}
	if err := m.open(c); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

func (m *maps) open(c *Config) error {
	if c.Default != "" {
		route, err := mapping.ParseRoute(c.Default)
		if err != nil {
			return fmt.Errorf("default_route: %w", err)
		}
		m.Default = route
	}
	for name, l := range c.LDAP {
		connector, err := l.Connector()
		if err != nil {
			return fmt.Errorf("ldap.%s: %w", name, err)
		}
		m.connectors[name] = connector
		m.closers = append(m.closers, connector)
		if l.Watch {
			m.background = append(m.background, func(ctx context.Context) { m.watch(ctx, name, connector) })
		}
	}
	for name, of := range c.Maps {
		mapper, err := m.chain(c, of)
		if err == nil {
			err = m.Add(name, mapper)
		}
		if err != nil {
			return fmt.Errorf("map.%s: %w", name, err)
		}
	}
	return nil
}

// chain makes a map of its sources. Where others than files are among them, it
// is remembered what they say.
func (m *maps) chain(c *Config, of *MapConfig) (mapping.Mapper, error) {
	var links []mapping.Mapper
	remote := false
	for _, source := range of.Sources {
		link, err := m.source(c, of, source)
		if err != nil {
			return nil, err
		}
		links = append(links, link)
		remote = remote || strings.HasPrefix(source, fromLDAP) || strings.HasPrefix(source, fromHTTP)
	}
	if !remote {
		return mapping.Chain(links...), nil
	}
	cache := mapping.NewCache(mapping.Chain(links...), mapping.CacheOptions{
		TTL: time.Duration(of.TTL), Negative: time.Duration(of.Negative), Stale: time.Duration(of.Stale),
	})
	m.caches = append(m.caches, cache)
	return cache, nil
}

func (m *maps) source(c *Config, of *MapConfig, source string) (mapping.Mapper, error) {
	kind, name, _ := strings.Cut(source, ":")
	switch kind + ":" {
	case fromStatic:
		route, err := mapping.ParseRoute(name)
		return mapping.Static(route), err
	case fromFile:
		return m.file(name)
	case fromLDAP:
		if connector := m.connectors[name]; connector != nil {
			return checked(of, ldapmap.New(connector, ldapmap.Options{User: of.User})), nil
		}
	case fromHTTP:
		if server := c.HTTP[name]; server != nil {
			return m.http(of, server)
		}
	}
	return nil, fmt.Errorf("%q is neither \"static:\" and a route, \"file:\" and a path, nor \"ldap:\" or \"http:\" and a name under [ldap] or [http]", source)
}

// file opens a file map. Alone it needs no cache: it is in memory, and a change
// counts at once.
func (m *maps) file(path string) (mapping.Mapper, error) {
	file, err := mapping.OpenFile(path)
	if err != nil {
		return nil, err
	}
	m.files = append(m.files, file)
	m.background = append(m.background, func(ctx context.Context) { file.Watch(ctx, 2*time.Second, slog.Default()) })
	return file, nil
}

func (m *maps) http(of *MapConfig, server *HTTPConfig) (mapping.Mapper, error) {
	key, err := config.FirstLine(server.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("key_file: %w", err)
	}
	client, err := httpmap.New(server.URL, httpmap.Options{Key: key})
	if err != nil {
		return nil, err
	}
	m.closers = append(m.closers, client)
	return checked(of, client), nil
}

// checked puts before a source that others write what looks whether its routes
// lead somewhere.
func checked(of *MapConfig, source mapping.Mapper) mapping.Mapper {
	loopback := mapping.LoopbackRefused
	if of.Loopback {
		loopback = mapping.LoopbackAllowed
	}
	return mapping.NewChecked(source, mapping.CheckedOptions{Loopback: loopback})
}

// of returns the map of a service, with the port of its back ends.
func (m *maps) of(s *ServiceConfig) (mapping.Mapper, error) {
	users, err := m.For(s.Map)
	if err != nil || s.BackendPort == 0 {
		return users, err
	}
	return mapping.MapperFunc(func(ctx context.Context, user string) (mapping.Route, error) {
		route, err := users.Map(ctx, user)
		if err == nil {
			route.Port = cmp.Or(route.Port, s.BackendPort)
		}
		return route, err
	}), nil
}

// invalidate forgets where a user lives; where all do, when it is "".
func (m *maps) invalidate(user string) {
	for _, cache := range m.caches {
		if user == "" {
			cache.InvalidateAll()
		} else {
			cache.Invalidate(user)
		}
	}
}

// reload reads the files again. One that is bad stays as it was.
func (m *maps) reload() error {
	var errs []error
	for _, file := range m.files {
		errs = append(errs, file.Reload())
	}
	m.invalidate("")
	return errors.Join(errs...)
}

// watch forgets users whose entries in a directory have changed, until ctx
// ends, or the directory does not tell of changes.
func (m *maps) watch(ctx context.Context, name string, c *ldap.Connector) {
	err := c.Watch(ctx, func(change ldap.Change) {
		if change.All {
			m.invalidate("")
		}
		for _, user := range change.Names() {
			m.invalidate(user)
		}
	})
	if ctx.Err() == nil {
		slog.WarnContext(ctx, "changes of a directory are not followed, an old route may be used for some minutes", "ldap", name, "err", err)
	}
}

// Close closes the connections to directories and servers.
func (m *maps) Close() error {
	var errs []error
	for _, c := range m.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
