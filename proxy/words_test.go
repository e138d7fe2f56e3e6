package proxy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/mapping"
)

func TestX03XCLIENTNeverNamesALogin(t *testing.T) {
	l := &Link{user: "alice", client: Client{
		Protocol: POP3, Remote: netip.MustParseAddrPort("[2001:db8::1]:1234"), Session: "s1", Hops: 3,
	}}
	require.Equal(t, "ADDR=2001:db8::1 PORT=1234 SESSION=s1 TTL=2", l.XCLIENT(nil))
	require.Equal(t, "ADDR=2001:db8::1 TTL=2", l.XCLIENT([]string{"LOGIN", "TTL", "ADDR"}))
	require.Empty(t, l.XCLIENT([]string{"LOGIN"}))
	l.client = Client{Protocol: POP3}
	require.Equal(t, "TTL=6", l.XCLIENT(nil))
}

func TestP14WhatABackEndIsShown(t *testing.T) {
	l := &Link{user: "alice"}
	for want, c := range map[string]auth.Credentials{
		"\x00alice\x00pw":                       {Mechanism: "LOGIN", User: "Alice", Password: "pw"},
		"n,a=alice,\x01auth=Bearer tok\x01\x01": {Mechanism: "OAUTHBEARER", User: "alice", Proof: auth.Token("tok")},
		"user=alice\x01auth=Bearer tok\x01\x01": {Mechanism: "XOAUTH2", User: "alice", Proof: auth.Token("tok")},
	} {
		w, err := l.words(c, "", false)
		require.NoError(t, err)
		require.Equal(t, want, string(w.Response()))
	}
	w, err := l.words(auth.Credentials{User: "admin", Password: "pw"}, "admin", true)
	require.NoError(t, err)
	require.Equal(t, "alice\x00admin\x00pw", string(w.Response()), "who acts for the user shows his own password")
	_, err = l.words(auth.Credentials{Mechanism: "SCRAM-SHA-256", Proof: &auth.Response{}}, "", true)
	require.ErrorIs(t, err, ErrUnfit)
	l.route = mapping.Route{User: "a\x00b"}
	_, err = l.words(auth.Credentials{Password: "pw"}, "", true)
	require.ErrorIs(t, err, ErrUnfit)
}

func TestP51SecretsAreInNoTextOfALogin(t *testing.T) {
	w := Words{Mechanism: "PLAIN", User: "alice", Secret: "hunter2"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		require.NotContains(t, fmt.Sprintf(verb, w), "hunter2")
	}
	require.NotContains(t, w.Refused(auth.ErrBadCredentials, "AUTH", "hunter2 is wrong").Error(), "hunter2")
	require.NotContains(t, w.Refused(auth.ErrBadCredentials, "AUTH", "unknown: AUTH PLAIN AGFsaWNlAGh1bnRlcjI=").Error(), "AGFs")
}

func TestX06WhatABackEndSaysBecomesOneLine(t *testing.T) {
	require.Equal(t, "a  b   c", OneLine(" a\r\nb\x00\x7f\xffc\t"))
	require.Len(t, OneLine(strings.Repeat("x", 1<<20)), maxTold)
	require.Equal(t, strings.Repeat("é", maxTold/2-1), OneLine("x" + strings.Repeat("é", 1000))[1:], "no rune is cut in two")
}
