package oauth

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
)

func TestSASLCarriesATokenAndTellsWhatABetterOneNeeds(t *testing.T) {
	s := newIssuer(t)
	a := auth.NewThrottle(auth.NewCache(s.jwt(t, JWT{}, s.rules()), auth.CacheOptions{}), auth.ThrottleOptions{})
	begin := func(mechanism string) *auth.Exchange {
		e, err := auth.NewExchange(t.Context(), mechanism, a, auth.Policy{}, auth.Credentials{Service: "imap", Secure: true})
		require.NoError(t, err)
		return e
	}
	for mechanism, before := range map[string]string{
		"OAUTHBEARER": "n,a=Alice@example.test,\x01auth=Bearer ", "XOAUTH2": "user=Alice@example.test\x01auth=Bearer ",
	} {
		e := begin(mechanism)
		_, done, err := e.Next([]byte(before + s.token() + "\x01\x01"))
		require.NoError(t, err)
		require.True(t, done)
		require.Equal(t, "alice@example.test", e.Identity().User)
	}
	e := begin("OAUTHBEARER")
	challenge, done, err := e.Next([]byte("n,,\x01auth=Bearer " + s.token(map[string]any{"scope": "smtp"}) + "\x01\x01"))
	require.NoError(t, err)
	require.False(t, done)
	require.JSONEq(t, `{"status":"invalid_token","scope":"imap","openid-configuration":"`+s.URL+`/.well-known/openid-configuration"}`, string(challenge))
	_, _, err = e.Next([]byte("\x01"))
	require.ErrorIs(t, err, auth.ErrBadCredentials)
}
