package realtest

import (
	"context"
	"testing"
	"time"

	ldap "github.com/go-ldap/ldap/v3"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/testcert"
)

func startSlapd(t *testing.T, o SlapdOptions) *Slapd {
	t.Helper()
	Require(t, "slapd")
	s, err := StartSlapd(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	return s
}

// find returns what a client sees of the entries that fit.
func find(t *testing.T, uri, bindDN, password, filter string) []*ldap.Entry {
	t.Helper()
	c, err := ldap.DialURL(uri, ldap.DialWithTLSConfig(testcert.Client()))
	require.NoError(t, err)
	defer c.Close()
	if bindDN != "" {
		require.NoError(t, c.Bind(bindDN, password))
	}
	res, err := c.Search(ldap.NewSearchRequest(SlapdBase, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 30, false,
		filter, []string{"*", "memberOf"}, nil))
	require.NoError(t, err)
	return res.Entries
}

func TestSlapdAnswersOnEveryWay(t *testing.T) {
	s := startSlapd(t, SlapdOptions{})
	for _, uri := range []string{s.URI(), s.SecureURI(), s.SocketURI()} {
		found := find(t, uri, "", "", "(mailLocalAddress=alias1@example.test)")
		require.Len(t, found, 1, uri)
		require.Equal(t, SlapdUser(1), found[0].DN)
		require.Equal(t, "backend1.example.test", found[0].GetAttributeValue("mailHost"))
		require.Equal(t, []string{SlapdGroup("inner")}, found[0].GetAttributeValues("memberOf"))
		require.Empty(t, found[0].GetAttributeValue("userPassword"), "hidden from anonymous clients")
	}
	require.NotEmpty(t, find(t, s.URI(), SlapdReader, SlapdReaderPassword, "(uid=user1)")[0].GetAttributeValue("userPassword"))
	require.Len(t, find(t, s.URI(), SlapdUser(9), "pw", "(mail=twin@example.test)"), 2)
	require.Len(t, find(t, s.URI(), SlapdPerson("plain"), "pw", "(uid=nohost)"), 1)
}

func TestSlapdReplicatesAndComesBack(t *testing.T) {
	first := startSlapd(t, SlapdOptions{Users: 4})
	second := startSlapd(t, SlapdOptions{Of: first})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	require.NoError(t, first.Set(SlapdUser(0), "mailHost", "other.example.test"))
	require.NoError(t, first.Add(SlapdPerson("new"), Person("new", nil)))
	require.NoError(t, first.Delete(SlapdUser(1)))
	require.NoError(t, first.Rename(SlapdUser(2), "uid=renamed"))
	require.NoError(t, second.CatchUp(ctx))
	first.Kill()
	user0 := find(t, second.URI(), "", "", "(uid=user0)")
	require.Len(t, user0, 1)
	require.Equal(t, "other.example.test", user0[0].GetAttributeValue("mailHost"))
	require.Equal(t, []string{SlapdGroup("inner")}, user0[0].GetAttributeValues("memberOf"))
	require.Len(t, find(t, second.URI(), "", "", "(uid=new)"), 1)
	require.Empty(t, find(t, second.URI(), "", "", "(uid=user1)"))
	require.Len(t, find(t, second.URI(), "", "", "(uid=renamed)"), 1)

	require.NoError(t, first.Restart(ctx))
	require.Len(t, find(t, first.URI(), "", "", "(uid=new)"), 1)
	require.NoError(t, first.Delete(SlapdPerson("new")))
	require.NoError(t, second.CatchUp(ctx))
	require.Empty(t, find(t, second.URI(), "", "", "(uid=new)"))
}

func TestSlapdStandsStill(t *testing.T) {
	s := startSlapd(t, SlapdOptions{})
	c, err := ldap.DialURL(s.URI())
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.Bind(SlapdUser(0), "pw"))
	require.NoError(t, s.Pause())
	c.SetTimeout(50 * time.Millisecond)
	require.Error(t, c.Bind(SlapdUser(0), "pw"))
	require.NoError(t, s.Resume())
	require.Len(t, find(t, s.URI(), "", "", "(uid=user0)"), 1)
}
