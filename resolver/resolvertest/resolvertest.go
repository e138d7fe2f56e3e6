// Package resolvertest has a resolver without a network, for tests.
package resolvertest

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/posthouse-mail/posthouse/resolver"
)

// Zone answers from maps. Keys are names in lower case without a trailing
// dot; what is not in a map is resolver.ErrNotFound. The zero value knows
// nothing. Fill it before it is used, or change it through Update.
type Zone struct {
	MX   map[string][]net.MX
	IP   map[string][]string // host to addresses
	TXT  map[string][]string
	Addr map[string][]string // address to names
	Fail map[string]error    // name to the error of every question about it

	mu    sync.Mutex
	asked []string
}

var _ resolver.Resolver = (*Zone)(nil)

// Update changes the zone while others may ask it.
func (z *Zone) Update(change func(z *Zone)) {
	z.mu.Lock()
	defer z.mu.Unlock()
	change(z)
}

// Asked returns the questions so far, as "MX example.test".
func (z *Zone) Asked() []string {
	z.mu.Lock()
	defer z.mu.Unlock()
	return append([]string(nil), z.asked...)
}

// LookupMX answers from z.MX.
func (z *Zone) LookupMX(ctx context.Context, domain string) ([]*net.MX, error) {
	records, err := ask(ctx, z, "MX", domain, func() map[string][]net.MX { return z.MX })
	if err != nil {
		return nil, err
	}
	out := make([]*net.MX, len(records))
	for i := range records {
		out[i] = &net.MX{Host: records[i].Host, Pref: records[i].Pref}
	}
	return out, nil
}

// LookupIPAddr answers from z.IP; an address is its own.
func (z *Zone) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	if ip := net.ParseIP(host); ip != nil {
		return []net.IPAddr{{IP: ip}}, nil
	}
	texts, err := ask(ctx, z, "IP", host, func() map[string][]string { return z.IP })
	if err != nil {
		return nil, err
	}
	out := make([]net.IPAddr, len(texts))
	for i, text := range texts {
		out[i] = net.IPAddr{IP: net.ParseIP(text)}
	}
	return out, nil
}

// LookupTXT answers from z.TXT.
func (z *Zone) LookupTXT(ctx context.Context, name string) ([]string, error) {
	return ask(ctx, z, "TXT", name, func() map[string][]string { return z.TXT })
}

// LookupAddr answers from z.Addr.
func (z *Zone) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	return ask(ctx, z, "PTR", addr, func() map[string][]string { return z.Addr })
}

func ask[T any](ctx context.Context, z *Zone, kind, name string, table func() map[string][]T) ([]T, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", resolver.ErrTemporary, err)
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked = append(z.asked, kind+" "+name)
	if err := z.Fail[name]; err != nil {
		return nil, err
	}
	if records := table()[name]; len(records) > 0 {
		return records, nil
	}
	return nil, fmt.Errorf("%w: %s %s", resolver.ErrNotFound, kind, name)
}
