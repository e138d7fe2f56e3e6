package ldapauth_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/ldapauth"
	"github.com/posthouse-mail/posthouse/directory/ldap"
	"github.com/posthouse-mail/posthouse/internal/ldapfake"
)

// bindFails is a directory whose binds fail.
type bindFails struct {
	*ldapfake.Directory
	err error
}

func (b bindFails) Bind(context.Context, string, string) error { return b.err }

// memberFails is a directory that can't tell who is in a group.
type memberFails struct{ *ldapfake.Directory }

func (memberFails) Member(context.Context, *ldap.Entry, string) ([]string, error) {
	return nil, ldap.ErrUnavailable
}

func TestR343SecretsAreThereOnlyWhereTheyAreRetrievable(t *testing.T) {
	d := ldapfake.New(t, config())
	fill(t, d, plain)
	d.Set("uid=bob"+people, "userPassword", "{SSHA}x")
	d.Set("uid=bob"+people, "authPassword", "MD5$x$y", "SCRAM-SHA-256$4096:c2FsdA==$"+key+":"+key)
	bind := ldapauth.New(d, ldapauth.Options{Secrets: auth.ClearSecrets | auth.SCRAMSHA256Secrets})
	hashes := ldapauth.New(d, ldapauth.Options{Mode: ldapauth.Compare})
	all := ldapauth.New(d, ldapauth.Options{Mode: ldapauth.Compare, Secrets: auth.ClearSecrets | auth.SCRAMSHA256Secrets | auth.Tokens})
	require.Equal(t, auth.Passwords, bind.Proofs(), "a bind tells nothing")
	require.Equal(t, auth.Passwords, hashes.Proofs())
	require.Equal(t, auth.Passwords|auth.ClearSecrets|auth.SCRAMSHA256Secrets, all.Proofs())
	for _, a := range []*ldapauth.Authenticator{bind, hashes} {
		_, err := a.Secret(t.Context(), "alice", "PLAIN")
		require.ErrorIs(t, err, auth.ErrBadCredentials)
		for _, scheme := range []string{"PLAIN", "SCRAM-SHA-256"} {
			_, err = a.Authenticate(t.Context(), auth.Credentials{User: "bob", Proof: response(scheme, "")})
			require.ErrorIs(t, err, auth.ErrBadCredentials)
		}
	}
	for _, scheme := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-1"} {
		s, err := all.Secret(t.Context(), "Alice+tag", scheme)
		require.NoError(t, err)
		require.Equal(t, auth.Secret{Scheme: "PLAIN", Value: []byte("alice's secret")}, s)
	}
	s, err := all.Secret(t.Context(), "bob", "SCRAM-SHA-256")
	require.NoError(t, err)
	require.Equal(t, auth.Secret{Scheme: "SCRAM-SHA-256", Value: []byte("4096:c2FsdA==$" + key + ":" + key)}, s)
	for _, c := range [][2]string{{"bob", "PLAIN"}, {"bob", "SCRAM-SHA-1"}, {"bob", "MD5"}, {"mallory", "PLAIN"}, {"", "PLAIN"}} {
		_, err = all.Secret(t.Context(), c[0], c[1])
		require.ErrorIs(t, err, auth.ErrBadCredentials, "%v", c)
	}
	d.Fail(errors.New("connection refused"))
	_, err = all.Secret(t.Context(), "bob", "SCRAM-SHA-256")
	require.ErrorIs(t, err, auth.ErrUnavailable)
}

// key is 32 octets in base64.
const key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

// derived is PBKDF2-HMAC-SHA-256 of "s3cret" with the salt "saltsaltsaltsalt".
const derived = "bGOFxfEbNReXDT6jLM1z40eFZTB1b8dCLlyaYfgh5z8"

// response fits a secret of a value; an empty one fits every secret.
func response(scheme, value string) *auth.Response {
	return &auth.Response{Scheme: scheme, Check: func(s auth.Secret) bool { return value == "" || string(s.Value) == value }}
}

func TestR343AResponseIsCheckedWithTheEntrysSecret(t *testing.T) {
	d := ldapfake.New(t, config())
	fill(t, d, plain)
	a := ldapauth.New(d, ldapauth.Options{Mode: ldapauth.Compare, Secrets: auth.ClearSecrets})
	id, err := a.Authenticate(t.Context(), auth.Credentials{User: "alice+tag", Proof: response("PLAIN", "alice's secret")})
	require.NoError(t, err)
	require.Equal(t, "alice@example.test", id.User)
	for user, want := range map[string]error{"alice": auth.ErrBadCredentials, "mallory": auth.ErrBadCredentials, "carol": auth.ErrDisabled} {
		id, err = a.Authenticate(t.Context(), auth.Credentials{User: user, Proof: response("PLAIN", "carol's secret")})
		require.ErrorIs(t, err, want)
		require.Zero(t, id)
	}
}

// counting counts the questions.
type counting struct {
	*ldapfake.Directory
	mu    sync.Mutex
	asked int
}

func (s *counting) count() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
}

func (s *counting) Lookup(ctx context.Context, user string, attributes ...string) (*ldap.Entry, error) {
	s.count()
	return s.Directory.Lookup(ctx, user, attributes...)
}

func (s *counting) Bind(ctx context.Context, dn, password string) error {
	s.count()
	return s.Directory.Bind(ctx, dn, password)
}

func TestA14MissingDisabledAndWrongAskTheSameQuestions(t *testing.T) {
	d := &counting{Directory: ldapfake.New(t, config())}
	fill(t, d.Directory, plain)
	d.Set("uid=bob"+people, "userPassword")
	a := ldapauth.New(d, ldapauth.Options{})
	for _, user := range []string{"alice", "bob", "carol", "mallory", "*"} {
		d.asked = 0
		_, err := a.Authenticate(t.Context(), credentials(user, "s3cret of mine"))
		require.ErrorIs(t, err, auth.ErrBadCredentials)
		require.Equal(t, 2, d.asked, user)
	}
	require.Equal(t, 2, len(slices.DeleteFunc(d.Binds(), func(p string) bool { return p == "s3cret of mine" })),
		"a password is not shown for a user that there is not")
}

func TestA14MissingDisabledAndWrongTakeTheSameTimeInAComparison(t *testing.T) {
	d := ldapfake.New(t, config())
	fill(t, d, hash)
	d.Set("uid=bob"+people, "userPassword")
	a := ldapauth.New(d, ldapauth.Options{Mode: ldapauth.Compare})
	compareTimes(t, a)
}

func TestA14AFastHashIsFastForWhoIsMissingToo(t *testing.T) {
	d := ldapfake.New(t, config())
	fill(t, d, func(testing.TB, string) string { return "$pbkdf2-sha256$20000$c2FsdHNhbHRzYWx0c2FsdA$" + derived })
	d.Set("uid=bob"+people, "userPassword")
	a := ldapauth.New(d, ldapauth.Options{Mode: ldapauth.Compare})
	_, err := a.Authenticate(t.Context(), credentials("alice", "s3cret"))
	require.NoError(t, err)
	compareTimes(t, a)
}

// compareTimes requires that all failures take about the same time. A hash
// takes milliseconds, its absence shows as microseconds: bounds this wide tell
// them apart on a busy machine too.
func compareTimes(t *testing.T, a auth.Authenticator) {
	t.Helper()
	fastest := func(user string) time.Duration {
		best := time.Hour
		for range 5 {
			began := time.Now()
			_, err := a.Authenticate(t.Context(), credentials(user, "wrong"))
			require.Error(t, err)
			best = min(best, time.Since(began))
		}
		return best
	}
	_ = fastest("mallory")
	wrong := fastest("alice")
	for _, user := range []string{"mallory", "bob", "carol"} {
		other := fastest(user)
		require.Less(t, other, 4*wrong, user)
		require.Greater(t, other, wrong/4, user)
		t.Logf("%s takes %.2f of a wrong password", user, float64(other)/float64(wrong))
	}
}
