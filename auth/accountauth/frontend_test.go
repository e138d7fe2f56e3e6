package accountauth_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/accountauth"
	"github.com/posthouse-mail/posthouse/auth/authtest"
	"github.com/posthouse-mail/posthouse/directory"
)

// behindFrontEnds lets the front end 192.0.2.25 act for the accounts of a
// directory, but for the postmaster.
func behindFrontEnds(t *testing.T, a auth.Authenticator, of directory.Accounts) auth.Authenticator {
	return accountauth.ActFor(a, of, accountauth.FrontEnd{
		Name: "front", Password: "front secret",
		Trusted:  func(peer netip.Addr) bool { return peer == netip.MustParseAddr("192.0.2.25") },
		Excluded: func(a directory.Account) bool { return a.Name == "postmaster@example.test" },
	})
}

// TestP50FrontEndUserIsNobody but who it acts for.
func TestP50FrontEndUserIsNobody(t *testing.T) {
	of := accounts{}
	for _, name := range []string{"alice", "bob", "postmaster", "front"} {
		of[name+"@example.test"] = directory.Account{Name: name + "@example.test", Password: hash(t, name+"'s secret"), Disabled: name == "bob"}
	}
	of["front"] = of["front@example.test"]
	a := behindFrontEnds(t, accountauth.New(of), of)
	plain := func(peer, as, user, password string) (auth.Identity, error) {
		c := auth.Credentials{Service: "imap", Secure: true, Peer: netip.MustParseAddr(peer), Remote: netip.MustParseAddr("198.51.100.1")}
		e, err := auth.NewExchange(t.Context(), "PLAIN", a, auth.Policy{}, c)
		require.NoError(t, err)
		if _, _, err = e.Next([]byte(as + "\x00" + user + "\x00" + password)); err != nil {
			return auth.Identity{}, err
		}
		return e.Identity(), nil
	}
	const front, elsewhere = "192.0.2.25", "192.0.2.26"
	id, err := plain(front, "alice@example.test", "Front", "front secret")
	require.NoError(t, err)
	require.Equal(t, "alice@example.test", id.User)
	id, err = plain(elsewhere, "", "front", "front's secret")
	require.NoError(t, err, "to others the name is an account's")
	require.Equal(t, "front@example.test", id.User)
	id, err = plain(front, "", "alice@example.test", "alice's secret")
	require.NoError(t, err, "whose passwords the back end checks")
	require.Equal(t, "alice@example.test", id.User)
	for what, words := range map[string][4]string{
		"itself":                 {front, "", "front", "front secret"},
		"its name":               {front, "front", "front", "front secret"},
		"an administrator":       {front, "postmaster@example.test", "front", "front secret"},
		"nobody":                 {front, "nobody@example.test", "front", "front secret"},
		"with another password":  {front, "alice@example.test", "front", "front's secret"},
		"from elsewhere":         {elsewhere, "alice@example.test", "front", "front secret"},
		"a user as another user": {front, "alice@example.test", "postmaster@example.test", "postmaster's secret"},
	} {
		_, err := plain(words[0], words[1], words[2], words[3])
		require.ErrorIs(t, err, auth.ErrBadCredentials, what)
	}
	_, err = plain(front, "bob@example.test", "front", "front secret")
	require.ErrorIs(t, err, auth.ErrDisabled)
	_, err = a.Authenticate(t.Context(), auth.Credentials{User: "front", Password: "front secret", Peer: netip.MustParseAddr(front)})
	require.ErrorIs(t, err, auth.ErrBadCredentials, "by a command of login, which names nobody else")
}

func TestBehindFrontEndsAnAuthenticatorKeepsItsPromises(t *testing.T) {
	of := accounts{}
	for _, name := range []string{"alice", "bob", "carol"} {
		of[name+"@example.test"] = directory.Account{Name: name + "@example.test", Password: hash(t, name+"'s secret"), Disabled: name == "carol"}
	}
	authtest.Run(t, authtest.Fixture{
		Auth: behindFrontEnds(t, accountauth.New(of), of), User: "alice@example.test", Password: "alice's secret", Identity: "alice@example.test",
		Other: "bob@example.test", Unknown: "mallory@example.test",
		Disabled: "carol@example.test", DisabledPassword: "carol's secret",
	})
}
