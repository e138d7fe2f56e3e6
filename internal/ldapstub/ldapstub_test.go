package ldapstub_test

import (
	"testing"

	ldap "github.com/go-ldap/ldap/v3"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/posthouse-mail/posthouse/internal/ldapstub"
	"github.com/posthouse-mail/posthouse/internal/testcert"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func find(t *testing.T, conn *ldap.Conn, filter string, attributes ...string) ([]*ldap.Entry, error) {
	t.Helper()
	res, err := conn.Search(ldap.NewSearchRequest("dc=example,dc=test", ldap.ScopeWholeSubtree, 0, 0, 0, false, filter, attributes, nil))
	if err != nil {
		return nil, err
	}
	return res.Entries, nil
}

func dial(t *testing.T, s *ldapstub.Server) *ldap.Conn {
	t.Helper()
	conn, err := ldap.DialURL(s.URI(), ldap.DialWithTLSConfig(testcert.Client()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func fill(s *ldapstub.Server) {
	s.Add("dc=example,dc=test", map[string][]string{"objectClass": {"organization"}})
	s.Add("uid=a,dc=example,dc=test", map[string][]string{"objectClass": {"person"}, "mail": {"a@example.test"}, "userPassword": {"pw"}})
	s.Add("cn=g,dc=example,dc=test", map[string][]string{"objectClass": {"group"}, "member": {"uid=a,dc=example,dc=test"}})
	s.Add("cn=h,dc=example,dc=test", map[string][]string{"objectClass": {"group"}, "member": {"CN=g, DC=example, dc=test"}})
}

func TestFiltersFindWhatTheySay(t *testing.T) {
	s := ldapstub.StartTLS(t, testcert.Server())
	fill(s)
	conn := dial(t, s)
	for filter, want := range map[string]int{
		"(objectClass=*)":                             4,
		"(mail=A@example.test)":                       1,
		"(mail=b@example.test)":                       0,
		"(mail=a*.test)":                              1,
		"(mail=a*x)":                                  0,
		"(&(objectClass=group)(!(cn=x)))":             2,
		"(|(mail=a@example.test)(objectClass=group))": 3,
		"(member=uid=a,dc=example,dc=test)":           1,
		"(member:1.2.840.113556.1.4.1941:=uid=a,dc=example,dc=test)":  2,
		"(memberOf:1.2.840.113556.1.4.1941:=cn=h,dc=example,dc=test)": 2,
	} {
		found, err := find(t, conn, filter, "mail")
		require.NoError(t, err, filter)
		require.Len(t, found, want, filter)
	}
}

func TestBindsNeedTheRightPassword(t *testing.T) {
	s := ldapstub.Start(t, testcert.Server())
	fill(s)
	conn := dial(t, s)
	require.NoError(t, conn.StartTLS(testcert.Client()))
	require.NoError(t, conn.Bind("uid=a,dc=example,dc=test", "pw"))
	require.True(t, ldap.IsErrorWithCode(conn.Bind("uid=a,dc=example,dc=test", "no"), ldap.LDAPResultInvalidCredentials))
	require.True(t, ldap.IsErrorWithCode(conn.Bind("uid=b,dc=example,dc=test", "pw"), ldap.LDAPResultInvalidCredentials))
}

func TestLimitsRangesAndAnswersAreWhatWasSet(t *testing.T) {
	s := ldapstub.Start(t, nil)
	fill(s)
	s.Add("cn=g,dc=example,dc=test", map[string][]string{"member": {"cn=1", "cn=2", "cn=3"}})
	conn := dial(t, s)
	s.SetMaxValues(2)
	for _, piece := range []struct {
		ask, get string
		values   []string
	}{
		{"member", "member;range=0-1", []string{"cn=1", "cn=2"}},
		{"member;range=2-*", "member;range=2-*", []string{"cn=3"}},
	} {
		found, err := find(t, conn, "(member=cn=1)", piece.ask)
		require.NoError(t, err)
		require.Equal(t, piece.values, found[0].GetAttributeValues(piece.get))
	}
	s.SetSizeLimit(1)
	_, err := find(t, conn, "(objectClass=*)")
	require.True(t, ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded))
	s.SetAnswer(ldapstub.Search, 51, "busy")
	_, err = find(t, conn, "(objectClass=*)")
	require.True(t, ldap.IsErrorWithCode(err, ldap.LDAPResultBusy))
}

func TestAServerThatRestartsKeepsItsAddressAndEntries(t *testing.T) {
	s := ldapstub.Start(t, nil)
	fill(s)
	uri := s.URI()
	s.Stop()
	_, err := ldap.DialURL(uri)
	require.Error(t, err)
	require.NoError(t, s.Restart())
	require.Equal(t, uri, s.URI())
	found, err := find(t, dial(t, s), "(mail=a@example.test)")
	require.NoError(t, err)
	require.Len(t, found, 1)
}

func TestFaultsLeaveNoAnswer(t *testing.T) {
	s := ldapstub.Start(t, nil)
	fill(s)
	for _, f := range []ldapstub.Fault{ldapstub.ResetMidAnswer, ldapstub.HalfAnswer, ldapstub.CloseUnanswered} {
		s.SetFault(f)
		_, err := find(t, dial(t, s), "(mail=a@example.test)")
		require.Error(t, err, f)
	}
}
