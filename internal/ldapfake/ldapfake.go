// Package ldapfake is an LDAP directory in memory for tests of what stands on
// directory/ldap: it has the methods of ldap.Connector, without a server.
package ldapfake

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/directory/ldap"
)

// Directory is a directory in memory. It is safe for concurrent use.
type Directory struct {
	*ldap.Connector // for its configuration and filters; it is never asked

	mu       sync.Mutex
	entries  []*entry
	down     error
	searches int
	binds    []string
}

type entry struct {
	dn     string
	values map[string][]string // by names in small letters
}

// New returns an empty directory. A zero Base is "dc=example,dc=test".
func New(t testing.TB, c ldap.Config) *Directory {
	t.Helper()
	c.URIs = []string{"ldap://127.0.0.1:1"}
	if c.Base == "" {
		c.Base = "dc=example,dc=test"
	}
	connector, err := ldap.New(c)
	require.NoError(t, err)
	t.Cleanup(func() { _ = connector.Close() })
	return &Directory{Connector: connector}
}

// Add adds an entry: pairs of an attribute's name and a value.
func (d *Directory) Add(dn string, pairs ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := &entry{dn: dn, values: make(map[string][]string)}
	for i := 0; i+1 < len(pairs); i += 2 {
		name := strings.ToLower(pairs[i])
		e.values[name] = append(e.values[name], pairs[i+1])
	}
	d.entries = append(d.entries, e)
}

// Set replaces the values of an attribute.
func (d *Directory) Set(dn, attribute string, values ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.find(dn).values[strings.ToLower(attribute)] = values
}

// Values returns the values of an attribute.
func (d *Directory) Values(dn, attribute string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.find(dn).values[strings.ToLower(attribute)])
}

// Delete removes an entry, and its name from the groups.
func (d *Directory) Delete(dn string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	is := func(other string) bool { return strings.EqualFold(other, dn) }
	d.entries = slices.DeleteFunc(d.entries, func(e *entry) bool { return is(e.dn) })
	for _, e := range d.entries {
		e.values["member"] = slices.DeleteFunc(e.values["member"], is)
	}
}

// Fail makes every search and bind fail; nil ends that.
func (d *Directory) Fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = err
}

// Searches returns how many searches there were.
func (d *Directory) Searches() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.searches
}

// Binds returns the passwords that binds came with.
func (d *Directory) Binds() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.binds)
}

func (d *Directory) find(dn string) *entry {
	for _, e := range d.entries {
		if strings.EqualFold(e.dn, dn) {
			return e
		}
	}
	return nil
}

func (d *Directory) available(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", ldap.ErrUnavailable, err)
	}
	if d.down != nil {
		return fmt.Errorf("%w: %w", ldap.ErrUnavailable, d.down)
	}
	return nil
}
