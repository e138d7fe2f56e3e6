package resolver

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
)

// MailHosts returns the hosts that take a domain's mail, best preference
// first and shuffled among equals (RFC 5321 §5.1), names without a trailing
// dot. A domain without MX records is its own mail host; whether it has an
// address is seen only when that is asked for. ErrNullMX, ErrNotFound (there
// is no such domain, or no usable record), ErrTemporary.
func MailHosts(ctx context.Context, r Resolver, domain string) ([]net.MX, error) {
	records, err := r.LookupMX(ctx, domain)
	switch {
	case errors.Is(err, ErrNotFound):
		return []net.MX{{Host: strings.TrimSuffix(domain, ".")}}, nil
	case err != nil:
		return nil, kindOf(err)
	}
	if len(records) == 1 && isRoot(records[0].Host) {
		return nil, ErrNullMX
	}
	hosts := make([]net.MX, 0, len(records))
	for _, mx := range records {
		if !isRoot(mx.Host) { // beside others a null MX is a mistake (RFC 7505 §3)
			hosts = append(hosts, net.MX{Host: strings.TrimSuffix(mx.Host, "."), Pref: mx.Pref})
		}
	}
	if len(hosts) == 0 {
		return nil, ErrNotFound
	}
	rand.Shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
	slices.SortStableFunc(hosts, func(a, b net.MX) int { return cmp.Compare(a.Pref, b.Pref) })
	return hosts, nil
}

func isRoot(host string) bool { return host == "." || host == "" }
