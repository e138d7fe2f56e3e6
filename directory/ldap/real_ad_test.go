package ldap

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
	"github.com/posthouse-mail/posthouse/internal/testcert"
)

// TestR344ActiveDirectory has all tests with a real Active Directory, since to
// set one up takes long.
func TestR344ActiveDirectory(t *testing.T) {
	realtest.RequireSamba(t)
	s, err := realtest.StartSambaAD(t.Context(), realtest.SambaOptions{})
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	for _, c := range []struct {
		name string
		test func(*testing.T, *realtest.SambaAD)
	}{
		{"Watch tells what changes", adWatch},
		{"Watch without the right to replicate", adWatchWithoutRight},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, s) })
	}
}

// atSamba is a configuration whose searches are bound as an ordinary user.
func atSamba(s *realtest.SambaAD) Config {
	return Config{
		Type: ActiveDirectory, URIs: []string{s.SecureURI()}, TLS: testcert.Client(), Base: realtest.SambaBase,
		BindDN: realtest.SambaReader, BindPassword: realtest.SambaPassword,
		Timeout: 20 * time.Second, Poll: 50 * time.Millisecond,
	}
}

// adNames are the names of a user of realtest.SambaAD.
func adNames(name string, more ...string) []string {
	return append([]string{name, name + "@" + realtest.SambaRealm, name + "@example.test"}, more...)
}

// sameChange compares without order of names.
func sameChange(t *testing.T, want, got Change) {
	t.Helper()
	require.Equal(t, want.DN, got.DN)
	require.Equal(t, want.All, got.All)
	require.ElementsMatch(t, want.Old, got.Old)
	require.ElementsMatch(t, want.New, got.New)
}

// about returns the next change that concerns an entry.
func (f *followed) about(t *testing.T, dn string) Change {
	t.Helper()
	for {
		if c := f.next(); c.DN == dn || c.All {
			return c
		}
	}
}

func adWatch(t *testing.T, s *realtest.SambaAD) {
	c := atSamba(s)
	c.BindDN = realtest.SambaAdmin
	f := follow(t, connect(t, c))
	user5 := adNames("user5", "alias5@example.test")
	require.NoError(t, s.Set(realtest.SambaUser(5), "mail", "new@example.test"))
	after := append([]string{"new@example.test"}, user5...) // still among his proxyAddresses
	sameChange(t, Change{DN: realtest.SambaUser(5), Old: user5, New: after}, f.next())
	require.NoError(t, s.Set(realtest.SambaUser(5), "proxyAddresses"))
	last := []string{"user5", "user5@ad.example.test", "user5@example.test", "new@example.test"}
	sameChange(t, Change{DN: realtest.SambaUser(5), Old: after, New: last}, f.next())

	zoe := "CN=Zoe," + realtest.SambaUsers
	require.NoError(t, s.Add(map[string]realtest.Attributes{zoe: realtest.SambaAccount("zoe", nil)}))
	names := []string{"zoe", "zoe@ad.example.test"}
	sameChange(t, Change{DN: zoe, New: names}, f.about(t, zoe))
	require.NoError(t, s.Rename(zoe, "CN=Zara"))
	zara := "CN=Zara," + realtest.SambaUsers
	sameChange(t, Change{DN: zara, Old: names, New: names}, f.about(t, zara))
	require.NoError(t, s.Delete(zara))
	sameChange(t, Change{DN: zara, Old: names}, f.about(t, zara))

	s.Kill()
	require.NoError(t, s.Restart(t.Context()))
	require.NoError(t, s.Set(realtest.SambaUser(6), "mail", "six@example.test"))
	require.Contains(t, f.about(t, realtest.SambaUser(6)).Names(), "six@example.test")
}

func adWatchWithoutRight(t *testing.T, s *realtest.SambaAD) {
	c := atSamba(s)
	c.Groups.Required = realtest.SambaGroup("outer")
	f := follow(t, connect(t, c))
	require.NoError(t, s.Set(realtest.SambaUser(7), "mail", "seven@example.test"))
	got := f.about(t, realtest.SambaUser(7))
	require.Contains(t, got.Old, "user7@example.test")
	require.Contains(t, got.New, "seven@example.test")
	require.NoError(t, s.Set(realtest.SambaGroup("inner"), "member", realtest.SambaUser(8), realtest.SambaUser(0)))
	require.True(t, f.next().All)

	c.BindDN, c.BindPassword = "", ""
	anonymous := startWatch(t, connect(t, c))
	<-anonymous.ended
	require.ErrorIs(t, anonymous.err, ErrNoWatch)
}
