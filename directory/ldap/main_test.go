package ldap

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/posthouse-mail/posthouse/internal/ldapstub"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const base = "dc=example,dc=test"

func dn(uid string) string { return "uid=" + uid + ",ou=people," + base }

// fill adds the users u0 to u9 with the password "pw", and two entries with
// the mail address twin@example.test.
func fill(s *ldapstub.Server) *ldapstub.Server {
	s.Add(base, map[string][]string{"objectClass": {"organization"}})
	for i := range 10 {
		uid := fmt.Sprintf("u%d", i)
		s.Add(dn(uid), map[string][]string{
			"objectClass": {"inetOrgPerson"}, "uid": {uid}, "mail": {uid + "@example.test"},
			"mailHost": {"backend.example.test"}, "userPassword": {"pw"},
		})
	}
	for _, uid := range []string{"twin1", "twin2"} {
		s.Add(dn(uid), map[string][]string{"objectClass": {"inetOrgPerson"}, "uid": {uid}, "mail": {"twin@example.test"}})
	}
	return s
}

// full starts a server with entries.
func full(t testing.TB) *ldapstub.Server { return fill(ldapstub.Start(t, nil)) }

// connect returns a Connector for servers, closed with the test; change may be nil.
func connectTo(t testing.TB, change func(*Config), servers ...*ldapstub.Server) *Connector {
	t.Helper()
	config := Config{Base: base, Retry: 200 * time.Millisecond, Timeout: 10 * time.Second}
	for _, s := range servers {
		config.URIs = append(config.URIs, s.URI())
	}
	if change != nil {
		change(&config)
	}
	c, err := New(config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// patient bounds what a loaded machine may take.
const patient = 30 * time.Second

// eventually waits until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	require.Eventually(t, is, patient, 5*time.Millisecond, what)
}

// isUp reports whether a server is up.
func isUp(c *Connector, i int) bool { return c.Servers()[i].Up }
