package resolver_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/posthouse-mail/posthouse/resolver"
	"github.com/posthouse-mail/posthouse/resolver/resolvertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMailHostsAreSortedAndShuffledAmongEquals(t *testing.T) {
	zone := &resolvertest.Zone{MX: map[string][]net.MX{"d.test": {
		{Host: "backup.test.", Pref: 20}, {Host: "one.test.", Pref: 10}, {Host: "two.test.", Pref: 10},
	}}}
	firsts := map[string]int{}
	for range 200 {
		hosts, err := resolver.MailHosts(context.Background(), zone, "d.test")
		require.NoError(t, err)
		require.Len(t, hosts, 3)
		require.Equal(t, "backup.test", hosts[2].Host)
		firsts[hosts[0].Host]++
	}
	require.Len(t, firsts, 2, "equal preferences share the load")
}

func TestDomainWithoutMXIsItsOwnMailHost(t *testing.T) {
	hosts, err := resolver.MailHosts(context.Background(), &resolvertest.Zone{}, "d.test.")
	require.NoError(t, err)
	require.Equal(t, []net.MX{{Host: "d.test"}}, hosts)
}

func TestS35NullMXTakesNoMail(t *testing.T) {
	zone := &resolvertest.Zone{MX: map[string][]net.MX{
		"null.test":  {{Host: ".", Pref: 0}},
		"mixed.test": {{Host: ".", Pref: 0}, {Host: "mx.test.", Pref: 5}},
		"silly.test": {{Host: ".", Pref: 0}, {Host: ".", Pref: 5}},
	}}
	_, err := resolver.MailHosts(context.Background(), zone, "null.test")
	require.ErrorIs(t, err, resolver.ErrNullMX)
	hosts, err := resolver.MailHosts(context.Background(), zone, "mixed.test")
	require.NoError(t, err)
	require.Equal(t, []net.MX{{Host: "mx.test", Pref: 5}}, hosts)
	_, err = resolver.MailHosts(context.Background(), zone, "silly.test")
	require.ErrorIs(t, err, resolver.ErrNotFound)
}

func TestS36FailuresAreTemporaryUnlessTheNameIsMissing(t *testing.T) {
	server := newNameServer(t)
	r := resolver.Using(server)
	ctx := context.Background()
	for name, want := range map[string]error{
		"missing.test":  resolver.ErrNotFound,
		"servfail.test": resolver.ErrTemporary,
		"refused.test":  resolver.ErrTemporary,
	} {
		_, err := r.LookupTXT(ctx, name)
		require.ErrorIs(t, err, want, name)
		_, ok := errors.AsType[*net.DNSError](err)
		require.True(t, ok, "the cause stays in the chain")
	}
	_, err := resolver.MailHosts(ctx, r, "servfail.test")
	require.ErrorIs(t, err, resolver.ErrTemporary)

	texts, err := r.LookupTXT(ctx, "good.test")
	require.NoError(t, err)
	require.Equal(t, []string{"hello"}, texts)
	hosts, err := resolver.MailHosts(ctx, r, "good.test")
	require.NoError(t, err)
	require.Equal(t, []net.MX{{Host: "mx.good.test", Pref: 10}}, hosts)
	_, err = resolver.MailHosts(ctx, r, "null.test")
	require.ErrorIs(t, err, resolver.ErrNullMX)
	addrs, err := r.LookupIPAddr(ctx, "192.0.2.1")
	require.NoError(t, err)
	require.Equal(t, "192.0.2.1", addrs[0].String())
}

func TestSilentServerIsTemporaryWithinTheContext(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	r := resolver.Using(netip.MustParseAddrPort(silent.LocalAddr().String()))
	_, err = r.LookupMX(ctx, "good.test")
	require.ErrorIs(t, err, resolver.ErrTemporary)
	require.NotErrorIs(t, err, resolver.ErrNotFound)
}

func TestNoServersIsTemporary(t *testing.T) {
	_, err := resolver.Using().LookupMX(context.Background(), "good.test")
	require.ErrorIs(t, err, resolver.ErrTemporary)
}

func TestSystemKnowsLocalhost(t *testing.T) {
	addrs, err := resolver.System().LookupIPAddr(context.Background(), "localhost")
	require.NoError(t, err)
	require.NotEmpty(t, addrs)
}

// newNameServer answers a few names over UDP.
func newNameServer(t *testing.T) netip.AddrPort {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	t.Cleanup(func() { pc.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) == nil && len(m.Questions) == 1 {
				if reply, err := answer(m).Pack(); err == nil {
					_, _ = pc.WriteTo(reply, from)
				}
			}
		}
	}()
	return netip.MustParseAddrPort(pc.LocalAddr().String())
}

func answer(m dnsmessage.Message) *dnsmessage.Message {
	q := m.Questions[0]
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60}
	add := func(body dnsmessage.ResourceBody) {
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: body})
	}
	switch q.Name.String() {
	case "missing.test.":
		m.RCode = dnsmessage.RCodeNameError
	case "servfail.test.":
		m.RCode = dnsmessage.RCodeServerFailure
	case "refused.test.":
		m.RCode = dnsmessage.RCodeRefused
	case "good.test.":
		switch q.Type {
		case dnsmessage.TypeTXT:
			add(&dnsmessage.TXTResource{TXT: []string{"hel", "lo"}})
		case dnsmessage.TypeMX:
			add(&dnsmessage.MXResource{Pref: 10, MX: dnsmessage.MustNewName("mx.good.test.")})
		}
	case "null.test.":
		add(&dnsmessage.MXResource{MX: dnsmessage.MustNewName(".")})
	}
	return &m
}
