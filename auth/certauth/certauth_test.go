package certauth_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/authtest"
	"github.com/posthouse-mail/posthouse/auth/certauth"
	"github.com/posthouse-mail/posthouse/directory"
)

// accounts are some of a directory in memory.
type accounts map[string]directory.Account

func (a accounts) Account(_ context.Context, login string) (directory.Account, error) {
	if login == "broken" {
		return directory.Account{}, errors.New("connection refused")
	}
	if account, ok := a[strings.ToLower(login)]; ok {
		return account, nil
	}
	return directory.Account{}, directory.ErrUnknown
}

func house() accounts {
	alice := directory.Account{Name: "alice@example.test"}
	return accounts{
		"alice": alice, "alice@example.test": alice, "bob@example.test": {Name: "bob@example.test"}, "carol@example.test": {Name: "carol@example.test", Disabled: true}, "nameless": {},
	}
}

func show(leaf *x509.Certificate) auth.Credentials {
	return auth.Credentials{Secure: true, Mechanism: "EXTERNAL", Proof: &auth.Certificate{Chain: []*x509.Certificate{leaf}}}
}

// down is a directory that can't be asked.
type down struct{}

func (down) Account(context.Context, string) (directory.Account, error) {
	return directory.Account{}, errors.New("connection refused")
}

func TestCertificatesKeepThePromisesOfAnAuthenticator(t *testing.T) {
	authtest.Run(t, authtest.Fixture{
		Auth: certauth.New(house(), certauth.Emails), User: "alice", Password: "alice@example.test", Identity: "alice@example.test",
		Other: "bob@example.test", Unknown: "mallory@example.test", Disabled: "carol@example.test", DisabledPassword: "carol@example.test",
		Broken: certauth.New(down{}, certauth.Emails),
		Shown: func(email string) auth.Proof {
			return &auth.Certificate{Chain: []*x509.Certificate{{EmailAddresses: []string{email}}}}
		},
	})
}

func TestCertificatesLeadToTheirAccounts(t *testing.T) {
	many := make([]string, 100)
	for i := range many {
		many[i] = "alice@example.test"
	}
	for _, c := range []struct {
		name, user, authzID, want string
		emails                    []string
		err                       error
	}{
		{emails: []string{"alice@example.test"}, want: "alice@example.test"},
		{emails: []string{"ALICE@example.test", "alice", "x@foreign.test"}, want: "alice@example.test"},
		{emails: []string{"alice@example.test"}, authzID: "alice", want: "alice@example.test"},
		{emails: []string{"alice@example.test"}, user: "Alice", want: "alice@example.test"},
		{emails: []string{"alice@example.test"}, authzID: "bob@example.test", err: auth.ErrBadCredentials},
		{emails: []string{"alice@example.test"}, authzID: "mallory", err: auth.ErrBadCredentials},
		{emails: []string{"alice@example.test"}, user: "bob@example.test", err: auth.ErrBadCredentials},
		{emails: []string{"alice@example.test", "bob@example.test"}, err: auth.ErrBadCredentials},
		{emails: []string{"alice@example.test", "bob@example.test"}, authzID: "bob@example.test", want: "bob@example.test"},
		{emails: []string{"alice@example.test", "bob@example.test"}, user: "alice", authzID: "bob@example.test", err: auth.ErrBadCredentials},
		{emails: []string{"carol@example.test"}, err: auth.ErrDisabled},
		{emails: []string{"nameless"}, err: auth.ErrBadCredentials},
		{emails: []string{"broken"}, err: auth.ErrUnavailable},
		{emails: []string{"alice@example.test"}, authzID: "broken", err: auth.ErrUnavailable},
		{emails: many, err: auth.ErrBadCredentials},
		{emails: []string{strings.Repeat("x", 1000)}, err: auth.ErrBadCredentials},
		{name: "alice", err: auth.ErrBadCredentials}, // by e-mail alone
	} {
		creds := show(&x509.Certificate{EmailAddresses: c.emails, Subject: pkix.Name{CommonName: c.name}})
		creds.User, creds.AuthzID = c.user, c.authzID
		id, err := certauth.New(house(), certauth.Emails).Authenticate(t.Context(), creds)
		require.Equal(t, c.want, id.User, "%+v", c)
		require.ErrorIs(t, err, c.err, "%+v", c)
	}
}

func TestCertificatesAreKnownByCommonNameOrFingerprint(t *testing.T) {
	leaf := &x509.Certificate{Raw: []byte("octets"), Subject: pkix.Name{CommonName: "alice"}}
	hash := fmt.Sprintf("%X", sha256.Sum256(leaf.Raw))
	names, err := certauth.Fingerprints(map[string]string{hash[:2] + ":" + hash[2:]: "alice"})
	require.NoError(t, err)
	for _, by := range []certauth.Names{certauth.CommonName, names} {
		a := certauth.New(house(), by)
		id, err := a.Authenticate(t.Context(), show(leaf))
		require.NoError(t, err)
		require.Equal(t, "alice@example.test", id.User)
		_, err = a.Authenticate(t.Context(), show(&x509.Certificate{Raw: []byte("others")}))
		require.ErrorIs(t, err, auth.ErrBadCredentials)
	}
	for _, bad := range []map[string]string{{"": "alice"}, {"abcd": "alice"}, {hash + "00": "alice"}, {hash: ""}, {"x" + hash[1:]: "alice"}} {
		_, err := certauth.Fingerprints(bad)
		require.Error(t, err, "%v", bad)
	}
}

func TestNothingButACertificateProvesAnything(t *testing.T) {
	a := certauth.New(house(), certauth.Emails)
	require.Equal(t, auth.Certificates, auth.ProofsOf(a))
	for _, p := range []auth.Proof{nil, auth.Token("x"), auth.Ticket{Name: "alice"}, &auth.Certificate{}, &auth.Certificate{Chain: []*x509.Certificate{nil}}, &auth.Response{Check: func(auth.Secret) bool { return true }}} {
		id, err := a.Authenticate(t.Context(), auth.Credentials{User: "alice", Password: "secret", Proof: p})
		require.ErrorIs(t, err, auth.ErrBadCredentials)
		require.Zero(t, id)
	}
	name, err := a.AccountName(t.Context(), "ALICE")
	require.NoError(t, err)
	require.Equal(t, "alice@example.test", name)
}
