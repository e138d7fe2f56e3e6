package auth

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// stored is the secret that a password has with a salt.
func stored(t testing.TB, h scramHash, password, salt string, iterations int) Secret {
	raw, err := base64.StdEncoding.DecodeString(salt)
	require.NoError(t, err)
	keys, err := h.derive(password, raw, iterations)
	require.NoError(t, err)
	return Secret{h.scheme, keys.encode()}
}

// dialogue is an exchange with a mechanism in a known state.
func dialogue(a Authenticator, m Mechanism, c Credentials, p Policy) *Exchange {
	return &Exchange{ctx: context.Background(), check: a, creds: c, mech: m, policy: p}
}

func TestSCRAMSHA1ExampleOfRFC5802(t *testing.T) {
	h := scramSHA1()
	v := vault{User: "user", Kinds: SCRAMSHA1Secrets, Secrets: map[string]Secret{h.scheme: stored(t, h, "pencil", "QSXCR+Q6sek8bf92", 4096)}}
	e := dialogue(v, &scram{hash: h, nonce: "3rfcNHYJY1ZVvWVs7j"}, Credentials{}, Policy{})
	say(t, e, "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL", "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096")
	say(t, e, "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=")
	require.Zero(t, e.Identity(), "the client has yet to see the signature")
	ends(t, e, "user")
}

func TestSCRAMSHA256ExampleOfRFC7677(t *testing.T) {
	h := scramSHA256()
	for _, secret := range []Secret{stored(t, h, "pencil", "W22ZaJ0SNY7soEsUEjb6gQ==", 4096)} {
		v := vault{User: "user", Kinds: SCRAMSHA256Secrets, Secrets: map[string]Secret{h.scheme: secret}}
		e := dialogue(v, &scram{hash: h, nonce: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"}, Credentials{}, Policy{})
		challenge, _, err := e.Next(nil)
		require.NoError(t, err)
		require.Equal(t, []byte{}, challenge, "the client begins")
		say(t, e, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO", "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
		say(t, e, "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
		ends(t, e, "user")
	}
}

func say(t testing.TB, e *Exchange, response, challenge string) {
	t.Helper()
	got, done, err := e.Next([]byte(response))
	require.NoError(t, err)
	require.False(t, done)
	require.Equal(t, challenge, string(got))
}

func ends(t testing.TB, e *Exchange, user string) {
	t.Helper()
	_, done, err := e.Next([]byte{})
	require.NoError(t, err)
	require.True(t, done)
	require.Equal(t, user, e.Identity().User)
}

func TestSCRAMSecretsAreThoseOfRFC5803(t *testing.T) {
	for _, scheme := range []string{"SCRAM-SHA-256", "SCRAM-SHA-1"} {
		s, err := NewSCRAMSecret(scheme, "pencil")
		require.NoError(t, err)
		require.Equal(t, scheme, s.Scheme)
		require.Regexp(t, `^32768:[A-Za-z0-9+/]{22}==\$[A-Za-z0-9+/]+=:[A-Za-z0-9+/]+=$`, string(s.Value))
		other, err := NewSCRAMSecret(scheme, "pencil")
		require.NoError(t, err)
		require.NotEqual(t, s, other, "each secret has a salt of its own")
	}
	// RFC 7677's example, as RFC 5803 writes it.
	k, err := scramSHA256().parse(stored(t, scramSHA256(), "pencil", "W22ZaJ0SNY7soEsUEjb6gQ==", 4096).Value)
	require.NoError(t, err)
	require.Equal(t, "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=", base64.StdEncoding.EncodeToString(k.stored))
	require.Equal(t, "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=", base64.StdEncoding.EncodeToString(k.server))
	for _, bad := range []string{"", "a\x00b", "tab\tbed", strings.Repeat("x", maxPassword+1)} {
		_, err := NewSCRAMSecret("SCRAM-SHA-256", bad)
		require.ErrorIs(t, err, ErrPassword, "%.20q", bad)
	}
	_, err = NewSCRAMSecret("SCRAM-MD5", "pencil")
	require.ErrorIs(t, err, errScheme)
}

func TestPasswordFormsAreOfOnePassword(t *testing.T) {
	hash, secrets, err := PasswordForms("pencil", "SCRAM-SHA-256", "SCRAM-SHA-1")
	require.NoError(t, err)
	ok, err := VerifyPassword(hash, "pencil")
	require.NoError(t, err)
	require.True(t, ok)
	require.Len(t, secrets, 2)
	hash, secrets, err = PasswordForms("tab\tbed", "SCRAM-SHA-256")
	require.NoError(t, err)
	require.NotEmpty(t, hash)
	require.Empty(t, secrets, "no client of SCRAM can send it")
	_, _, err = PasswordForms("", "SCRAM-SHA-256")
	require.ErrorIs(t, err, ErrPassword)
}

func TestA10IterationsOutOfBoundsAreRefused(t *testing.T) {
	salt, key := "QSXCR+Q6sek8bf92", base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, value := range []string{
		"1:" + salt, "4095:" + salt, "0:" + salt, "-4096:" + salt, "2147483648:" + salt, "2147483647:" + salt, "10000001:" + salt, "4294967297:" + salt,
		"x:" + salt, ":" + salt, "4096:", "4096:!", "4096:" + strings.Repeat("QUFB", 22), "4096",
	} {
		_, err := scramSHA256().parse([]byte(value + "$" + key + ":" + key))
		require.ErrorIs(t, err, ErrHash, value)
		v := vault{User: "alice", Kinds: SCRAMSHA256Secrets, Secrets: map[string]Secret{"SCRAM-SHA-256": {"SCRAM-SHA-256", []byte(value + "$" + key + ":" + key)}}}
		e, err := NewExchange(context.Background(), "SCRAM-SHA-256", v, Policy{}, Credentials{})
		require.NoError(t, err)
		_, _, err = e.Next([]byte("n,,n=alice,r=abc"))
		require.ErrorIs(t, err, ErrUnavailable, "a directory that was damaged is no wrong password")
		require.NotErrorIs(t, err, ErrBadCredentials)
		require.NotContains(t, err.Error(), key)
	}
	for _, value := range []string{"", "$", "4096:" + salt, "4096:" + salt + "$" + key, "4096:" + salt + "$" + key + ":", "4096:" + salt + "$" + key + ":QQ==", "4096:" + salt + "$" + key + ":" + key + ":x", strings.Repeat("1", 1000)} {
		_, err := scramSHA256().parse([]byte(value))
		require.ErrorIs(t, err, ErrHash, value)
	}
}

func TestSASLprepOfRFC4013(t *testing.T) {
	for text, want := range map[string]string{
		"I\u00adX": "IX", "user": "user", "USER": "USER", "\u00aa": "a", "\u2168": "IX", "a\u00a0b": "a b", "\u0627 1 \u0628": "\u0627 1 \u0628",
	} {
		got, err := saslPrep(text)
		require.NoError(t, err, "%q", text)
		require.Equal(t, want, got, "%q", text)
	}
	for _, text := range []string{"", "\u0007", "\u0627\u0031", "\u0627a\u0628", "\x00", "a\xff", "\ue000", "\ufffd", "\u200e", "\u180e", "\U000E0041", "\u00ad", "\ufdd0"} {
		_, err := saslPrep(text)
		require.ErrorIs(t, err, errPrep, "%q", text)
	}
}
