package realtest

import (
	"crypto/tls"
	"testing"

	ldap "github.com/go-ldap/ldap/v3"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/testcert"
)

func TestSambaIsAnActiveDirectory(t *testing.T) {
	RequireSamba(t)
	s, err := StartSambaAD(t.Context(), SambaOptions{})
	require.NoError(t, err)
	defer s.Stop()
	bind := func(uri, name, password string) (*ldap.Conn, error) {
		c, err := ldap.DialURL(uri, ldap.DialWithTLSConfig(testcert.Client()))
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		return c, c.Bind(name, password)
	}
	for _, name := range []string{SambaUser(1), "user1@ad.example.test", `ADEX\user1`} {
		_, err := bind(s.SecureURI(), name, SambaPassword)
		require.NoError(t, err, name)
	}
	_, err = bind(s.URI(), SambaUser(1), "wrong")
	require.ErrorContains(t, err, "data 52e")
	_, err = bind(s.URI(), SambaPerson("disabled"), SambaPassword)
	require.ErrorContains(t, err, "data 533")

	c, err := bind(s.URI(), SambaReader, SambaPassword)
	require.NoError(t, err)
	chain := ldap.NewSearchRequest(SambaBase, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 30, false,
		"(&(sAMAccountName=user0)(memberOf:1.2.840.113556.1.4.1941:="+SambaGroup("outer")+"))", []string{"proxyAddresses"}, nil)
	res, err := c.Search(chain)
	require.NoError(t, err)
	require.Len(t, res.Entries, 1)
	require.ElementsMatch(t, []string{"SMTP:user0@example.test", "smtp:alias0@example.test"}, res.Entries[0].GetAttributeValues("proxyAddresses"))

	anonymous, err := ldap.DialURL(s.URI())
	require.NoError(t, err)
	defer anonymous.Close()
	require.NoError(t, anonymous.StartTLS(&tls.Config{ServerName: "localhost", RootCAs: testcert.Client().RootCAs}))
	_, err = anonymous.Search(chain)
	require.True(t, ldap.IsErrorWithCode(err, ldap.LDAPResultOperationsError), "%v", err)

	s.Kill()
	require.NoError(t, s.Restart(t.Context()))
	require.NoError(t, s.Set(SambaUser(1), "mail", "one@example.test"))
	require.NoError(t, s.Rename(SambaUser(1), "CN=Renamed"))
	require.NoError(t, s.Delete(SambaUser(2)))
}
