package config

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/smtp/sender"
)

func TestABackEndKnowsItsOwnNameInTheDirectory(t *testing.T) {
	p := Place{Host: "Backend1.example.test"}
	for host, here := range map[string]bool{
		"backend1.example.test": true, "backend1.example.test:143,tls=none": true, "Backend1.example.test": true,
		"backend2.example.test": false, "": false, "backend1.example.test,what=this": false,
	} {
		require.Equal(t, here, p.is(host), host)
		require.True(t, new(Place).is(host), "without a name everybody is here")
	}
}

func TestMailForOtherBackEndsGoesToTheFrontEndsAndNoOther(t *testing.T) {
	p := Place{Host: "b", Forward: []string{"front1:25", "front2:2525"}}
	rules, err := p.Routes([]string{"example.test"})
	require.NoError(t, err)
	route, err := rules.Route(t.Context(), mail.MustParseAddress("a@example.test"), "example.test")
	require.NoError(t, err)
	require.Equal(t, []sender.Host{{Name: "front1", Port: 25}, {Name: "front2", Port: 2525}}, route.Hosts)
	route, err = rules.Route(t.Context(), mail.MustParseAddress("a@example.test"), "far.test")
	require.NoError(t, err)
	require.Zero(t, route)

	require.NoError(t, p.Validate([]string{"example.test"}))
	require.ErrorContains(t, p.Validate(nil), "no [ldap] has domains")
	p.Host = ""
	require.ErrorContains(t, p.Validate([]string{"example.test"}), "forward_to needs host")
	for _, bad := range []string{"front", "front:smtp", ":25", "front:0"} {
		p.Forward = []string{bad}
		require.ErrorContains(t, p.Validate(nil), "forward_to: ")
	}
}
