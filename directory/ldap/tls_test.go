package ldap

import (
	"crypto/tls"
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/ldapstub"
	"github.com/posthouse-mail/posthouse/internal/testcert"
)

// trusting trusts the stub's certificate, for the name in the URI.
func trusting() *tls.Config {
	config := testcert.Client()
	config.ServerName = ""
	return config
}

func TestTLSConnectionsAreVerifiedByTheNameInTheURI(t *testing.T) {
	implied := fill(ldapstub.StartTLS(t, testcert.Server()))
	started := fill(ldapstub.Start(t, testcert.Server()))
	for _, way := range []struct {
		server *ldapstub.Server
		change func(*Config)
	}{
		{implied, func(*Config) {}},
		{started, func(c *Config) { c.StartTLS = true }},
	} {
		try := func(config *tls.Config) error {
			c := connectTo(t, func(c *Config) { way.change(c); c.TLS = config }, way.server)
			if err := c.Bind(t.Context(), dn("u1"), "pw"); err != nil {
				return err
			}
			return lookup(t, c)
		}
		require.NoError(t, try(trusting()))

		for name, config := range map[string]*tls.Config{
			"unknown authority": nil,
			"another name":      {RootCAs: trusting().RootCAs, ServerName: "ldap.example.test"},
		} {
			binds := way.server.Binds.Load()
			err := try(config)
			require.ErrorIs(t, err, ErrUnavailable, name)
			require.NotErrorIs(t, err, ErrPassword, name)
			require.ErrorContains(t, err, "certificate", name)
			require.Equal(t, binds, way.server.Binds.Load(), "no password is sent there")
		}
		require.NoError(t, try(&tls.Config{InsecureSkipVerify: true}), "only the operator can switch that off")
	}
}

func TestAServerWithoutStartTLSGetsNoPassword(t *testing.T) {
	s := full(t)
	c := connectTo(t, func(c *Config) { c.StartTLS, c.BindDN, c.BindPassword = true, dn("u0"), "pw" }, s)
	err := lookup(t, c)
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorContains(t, err, "StartTLS: result 2")
	require.ErrorIs(t, c.Bind(t.Context(), dn("u1"), "pw"), ErrUnavailable)
	require.Zero(t, s.Binds.Load())
}

func TestAWrongCertificateOfTheFirstServerLeavesTheSecond(t *testing.T) {
	first, second := fill(ldapstub.StartTLS(t, testcert.Server())), full(t)
	c := connectTo(t, nil, first, second)
	require.NoError(t, lookup(t, c))
	require.False(t, isUp(c, 0))
	require.ErrorContains(t, c.Servers()[0].Last, "TLS handshake")
}

func TestLDAPIReachesALocalSocket(t *testing.T) {
	s := full(t)
	path := filepath.Join(t.TempDir(), "ldapi")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer l.Close()
	s.Serve(l)
	for _, uri := range []string{"ldapi://" + path, "ldapi://" + escapeSlashes(path)} {
		c := connectTo(t, func(c *Config) { c.URIs = []string{uri} })
		require.NoError(t, lookup(t, c), uri)
	}
}
