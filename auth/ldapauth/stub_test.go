package ldapauth_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/ldapauth"
	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/directory/ldap"
	"github.com/posthouse-mail/posthouse/directory/ldapdir"
	"github.com/posthouse-mail/posthouse/internal/ldapstub"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/mapping/ldapmap"
)

// stub is a server with alice, who has a password.
func stub(t *testing.T) (*ldapstub.Server, *ldap.Connector) {
	t.Helper()
	s := ldapstub.Start(t, nil)
	s.Add("dc=example,dc=test", map[string][]string{"objectClass": {"domain"}, "dc": {"example"}})
	s.Add("ou=people,dc=example,dc=test", map[string][]string{"objectClass": {"organizationalUnit"}, "ou": {"people"}})
	s.Add("uid=alice"+people, map[string][]string{
		"objectClass": {"inetOrgPerson"}, "uid": {"alice"}, "mail": {"alice@example.test"}, "userPassword": {"secret"}, "mailHost": {"a.example.test"},
	})
	c, err := ldap.New(ldap.Config{URIs: []string{s.URI()}, Base: "dc=example,dc=test", Domain: "example.test", Timeout: 300 * time.Millisecond})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return s, c
}

func TestA04FaultsOfADirectoryAreNeverAnAnswerAboutTheUser(t *testing.T) {
	breakage := map[string]func(s *ldapstub.Server){
		"10 MB attribute": func(s *ldapstub.Server) {
			s.Add("uid=alice"+people, map[string][]string{"mail": {"alice@example.test", strings.Repeat("x", 10<<20)}, "userPassword": {"secret"}})
		},
		"referral": func(s *ldapstub.Server) { s.SetReferrals("ldap://127.0.0.1:1"); s.SetAnswer(ldapstub.Search, 10, "") },
		"stopped":  func(s *ldapstub.Server) { s.Stop() },
	}
	for _, fault := range []ldapstub.Fault{
		ldapstub.Stall, ldapstub.StallConnect, ldapstub.ResetMidAnswer, ldapstub.HalfAnswer, ldapstub.CloseUnanswered, ldapstub.Garbage,
	} {
		breakage[fmt.Sprint("fault ", fault)] = func(s *ldapstub.Server) { s.SetFault(fault) }
	}
	for _, code := range []int{1, 2, 3, 8, 11, 50, 51, 52, 53, 80} {
		breakage[fmt.Sprint("result ", code)] = func(s *ldapstub.Server) { s.SetAnswer(ldapstub.Search, code, "no secret") }
	}
	for name, happens := range breakage {
		t.Run(name, func(t *testing.T) {
			s, c := stub(t)
			require.NoError(t, everybody(t, c, "alice"))
			happens(s)
			require.Error(t, everybody(t, c, "alice"))
			if name != "10 MB attribute" { // of alice
				require.Error(t, everybody(t, c, "mallory"))
			}
		})
	}
}

// everybody looks a user up in each of the ways. What fails must be "ask again
// later" in all of them.
func everybody(t *testing.T, c *ldap.Connector, user string) error {
	t.Helper()
	_, err := ldapauth.New(c, ldapauth.Options{}).Authenticate(t.Context(), credentials(user, "secret"))
	_, mapErr := ldapmap.New(c, ldapmap.Options{}).Map(t.Context(), user)
	d, newErr := ldapdir.New(c, ldapdir.Options{Domains: []string{"example.test"}})
	require.NoError(t, newErr)
	_, dirErr := d.Resolve(t.Context(), mail.MustParseAddress(user+"@example.test"))
	if err == nil {
		require.NoError(t, mapErr)
		require.NoError(t, dirErr)
		return nil
	}
	for failure, kind := range map[error]error{err: auth.ErrUnavailable, mapErr: mapping.ErrUnavailable, dirErr: directory.ErrUnavailable} {
		require.ErrorIs(t, failure, kind)
	}
	for _, other := range []error{auth.ErrBadCredentials, auth.ErrDisabled} {
		require.NotErrorIs(t, err, other)
	}
	require.NotErrorIs(t, mapErr, mapping.ErrNotMapped)
	require.NotErrorIs(t, dirErr, directory.ErrUnknown)
	return err
}

func TestA04WhatAServerSaysInsteadOfAVerdictIsUnavailable(t *testing.T) {
	for _, code := range []int{1, 2, 3, 8, 10, 11, 51, 52, 53, 80} {
		s, c := stub(t)
		s.SetAnswer(ldapstub.Bind, code, "")
		_, err := ldapauth.New(c, ldapauth.Options{}).Authenticate(t.Context(), credentials("alice", "secret"))
		require.ErrorIs(t, err, auth.ErrUnavailable, "result %d", code)
		require.NotErrorIs(t, err, auth.ErrBadCredentials)
	}
	s, c := stub(t)
	s.SetAnswer(ldapstub.Bind, 49, "80090308: LdapErr: DSID-0C09044E, comment: AcceptSecurityContext error, data 533, v1db1")
	_, err := ldapauth.New(c, ldapauth.Options{}).Authenticate(t.Context(), credentials("alice", "secret"))
	require.ErrorIs(t, err, auth.ErrDisabled)
}
