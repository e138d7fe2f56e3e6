package ldap

import (
	"errors"
	"strings"
	"testing"

	ldap "github.com/go-ldap/ldap/v3"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/ldapstub"
)

func TestBindTellsARightPasswordFromAWrongOne(t *testing.T) {
	c := connectTo(t, nil, full(t))
	require.NoError(t, c.Bind(t.Context(), dn("u1"), "pw"))
	require.ErrorIs(t, c.Bind(t.Context(), dn("u1"), "PW"), ErrPassword)
	require.ErrorIs(t, c.Bind(t.Context(), dn("nobody"), "pw"), ErrPassword)
	require.ErrorIs(t, c.Bind(t.Context(), dn("twin1"), "pw"), ErrPassword, "without a password attribute nobody gets in")
	require.NoError(t, c.Bind(t.Context(), dn("u2"), "pw"), "a connection serves the next user after a failure")
}

func TestA02AnEmptyPasswordNeverReachesTheServer(t *testing.T) {
	s := full(t)
	c := connectTo(t, nil, s)
	for _, bad := range [][2]string{{dn("u1"), ""}, {"", ""}, {"", "pw"}, {" ", "pw"}, {dn("u1"), "\x00"}, {dn("u1"), "\x00pw"}, {dn("u1"), "pw\x00"}, {dn("u1"), strings.Repeat("x", maxPassword+1)}} {
		require.ErrorIs(t, c.Bind(t.Context(), bad[0], bad[1]), ErrPassword)
	}
	require.Zero(t, s.Connections.Load())
	_, err := New(Config{URIs: []string{s.URI()}, Base: base, BindDN: dn("u0")})
	require.ErrorIs(t, err, ErrConfig)
}

func TestBindAnswersMeanWhatTheServerSays(t *testing.T) {
	ad := func(data string) string {
		return "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data " + data + ", v1db1"
	}
	for _, answer := range []struct {
		code int
		text string
		want error
	}{
		{0, "", nil},
		{49, "", ErrPassword},
		{49, ad("52e"), ErrPassword},
		{49, ad("525"), ErrPassword},
		{49, ad("533"), ErrDisabled},
		{49, ad("701"), ErrDisabled},
		{49, ad("775"), ErrDisabled},
		{49, ad("532"), ErrDisabled},
		{49, ad("773"), ErrDisabled},
		{48, "", ErrPassword},
		{32, "", ErrPassword},
		{19, "Exceed password retry limit. Please try later.", ErrDisabled},
		{53, "Account inactivated. Contact system administrator.", ErrDisabled},
		{53, "", ErrUnavailable},
		{1, "", ErrUnavailable},
		{3, "", ErrUnavailable},
		{8, "", ErrUnavailable},
		{13, "confidentiality required", ErrUnavailable},
		{34, "", ErrUnavailable},
		{51, "", ErrUnavailable},
		{52, "", ErrUnavailable},
		{80, "", ErrUnavailable},
	} {
		s := full(t)
		s.SetAnswer(ldapstub.Bind, answer.code, answer.text)
		err := connectTo(t, nil, s).Bind(t.Context(), dn("u1"), "pw")
		require.ErrorIs(t, err, answer.want, "%d %s", answer.code, answer.text)
		for _, other := range []error{ErrPassword, ErrDisabled, ErrUnavailable, ErrNoEntry} {
			require.Equal(t, other == answer.want, errors.Is(err, other), "%d %s: %v", answer.code, answer.text, err)
		}
	}
}

func TestPasswordPolicyAnswersAreDisabledAccounts(t *testing.T) {
	refused := ldap.NewError(ldap.LDAPResultInvalidCredentials, errors.New(""))
	for _, answer := range []struct {
		policy  int8
		err     error
		verdict error
	}{
		{-1, nil, nil},
		{-1, refused, ErrPassword},
		{0, refused, ErrDisabled}, // expired
		{1, refused, ErrDisabled}, // locked
		{2, nil, ErrDisabled},     // to be changed first
	} {
		control := ldap.NewControlBeheraPasswordPolicy()
		control.Error = answer.policy
		verdict, err := judge(&ldap.SimpleBindResult{Controls: []ldap.Control{control}}, answer.err)
		require.NoError(t, err)
		require.Equal(t, answer.verdict, verdict)
	}
}

func TestA04AnOutageIsNeverAWrongPassword(t *testing.T) {
	for _, fault := range []ldapstub.Fault{ldapstub.CloseUnanswered, ldapstub.Garbage, ldapstub.Stall} {
		s := full(t)
		s.SetFault(fault)
		c := connectTo(t, func(c *Config) { c.Timeout = 1e9 }, s)
		err := c.Bind(t.Context(), dn("u1"), "hush-hush")
		require.ErrorIs(t, err, ErrUnavailable)
		require.NotErrorIs(t, err, ErrPassword)
		require.NotContains(t, err.Error(), "hush")
	}
}

func TestAServerThatClosesAfterEachBindCostsNoLogin(t *testing.T) {
	s := full(t)
	s.SetFault(ldapstub.CloseAfterBind)
	c := connectTo(t, nil, s)
	for range 10 {
		require.NoError(t, c.Bind(t.Context(), dn("u1"), "pw"))
	}
}
