package auth_test

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/authtest"
)

// fast makes derived secrets cheap.
var fast = auth.Policy{SCRAM: auth.SCRAMOptions{Iterations: 4096}}

// run runs an exchange to its end and returns it.
func run(t *testing.T, a auth.Authenticator, p auth.Policy, c auth.Credentials, client *authtest.SCRAM) (*auth.Exchange, error) {
	t.Helper()
	mechanism, response, err := client.Start()
	require.NoError(t, err)
	e, err := auth.NewExchange(t.Context(), mechanism, a, p, c)
	require.NoError(t, err)
	for {
		challenge, done, err := e.Next(response)
		if done || err != nil {
			return e, err
		}
		response, err = client.Next(challenge)
		require.NoError(t, err)
	}
}

func secret(t testing.TB, scheme, password string) map[string]auth.Secret {
	if scheme == "PLAIN" {
		return map[string]auth.Secret{scheme: {Scheme: scheme, Value: []byte(password)}}
	}
	s, err := auth.NewSCRAMSecret(scheme, password)
	require.NoError(t, err)
	return map[string]auth.Secret{scheme: s}
}

// scramVault keeps alice's secret of SCRAM-SHA-256.
func scramVault(t testing.TB) auth.Vault {
	return auth.Vault{User: "alice", Kinds: auth.SCRAMSHA256Secrets, Secrets: secret(t, "SCRAM-SHA-256", "secret")}
}

func TestSCRAMWithStoredAndWithDerivedSecrets(t *testing.T) {
	for _, c := range []struct {
		kept, mechanism string
		kinds           auth.Kinds
	}{
		{"SCRAM-SHA-256", "SCRAM-SHA-256", auth.SCRAMSHA256Secrets}, {"SCRAM-SHA-1", "SCRAM-SHA-1", auth.SCRAMSHA1Secrets},
		{"PLAIN", "SCRAM-SHA-256", auth.ClearSecrets}, {"PLAIN", "SCRAM-SHA-1", auth.ClearSecrets},
	} {
		for _, user := range []string{"alice", "ALICE", "mallory"} {
			for _, password := range []string{"pen,c=il\u00a0\u00aa", "wrong"} {
				v := auth.Vault{User: "alice", Kinds: c.kinds, Secrets: secret(t, c.kept, "pen,c=il\u00a0\u00aa")}
				e, err := run(t, v, fast, auth.Credentials{}, &authtest.SCRAM{Mechanism: c.mechanism, User: user, Password: strings.Replace(password, "\u00a0\u00aa", " a", 1)})
				if user != "mallory" && password != "wrong" {
					require.NoError(t, err)
					require.Equal(t, "alice", e.Identity().User)
					continue
				}
				require.ErrorIs(t, err, auth.ErrBadCredentials)
				require.Zero(t, e.Identity())
			}
		}
	}
}

func TestA10AReplayedNonceIsRefused(t *testing.T) {
	v := scramVault(t)
	client := &authtest.SCRAM{Mechanism: "SCRAM-SHA-256", User: "alice", Password: "secret", Nonce: "always-the-same"}
	_, first, _ := client.Start()
	begin := func() (*auth.Exchange, []byte) {
		e, err := auth.NewExchange(t.Context(), "SCRAM-SHA-256", v, auth.Policy{}, auth.Credentials{})
		require.NoError(t, err)
		challenge, _, err := e.Next(first)
		require.NoError(t, err)
		return e, challenge
	}
	e, challenge := begin()
	final, err := client.Next(challenge)
	require.NoError(t, err)
	_, _, err = e.Next(final)
	require.NoError(t, err, "the first time it is right")
	again, other := begin()
	require.NotEqual(t, challenge, other)
	_, _, err = again.Next(final)
	require.ErrorIs(t, err, auth.ErrBadCredentials)
	again, other = begin()
	bare, proof, _ := strings.Cut(string(final), ",p=")
	nonce, _, _ := strings.Cut(strings.TrimPrefix(string(other), "r="), ",")
	require.Contains(t, bare, "r=always-the-same")
	_, _, err = again.Next([]byte("c=biws,r=" + nonce + ",p=" + proof))
	require.ErrorIs(t, err, auth.ErrBadCredentials, "the proof is of the other nonce")
}

func TestMalformedMessagesOfSCRAMProveNothing(t *testing.T) {
	asked := 0
	v := scramVault(t)
	v.Asked = &asked
	begin := func() *auth.Exchange {
		e, err := auth.NewExchange(t.Context(), "SCRAM-SHA-256", v, auth.Policy{}, auth.Credentials{})
		require.NoError(t, err)
		return e
	}
	for _, first := range []string{
		"", ",", "n", "n,", "n,,", "n,,n=alice", "n,,r=abc", "n,,n=,r=abc", "n,,n=alice,r=", "x,,n=alice,r=abc", "p,,n=alice,r=abc", "p=,,n=alice,r=abc",
		"n,alice,n=alice,r=abc", "n,a=,n=alice,r=abc", "n,a==,n=alice,r=abc", "n,,n=al=ice,r=abc", "n,,n=al=2cice,r=abc", "n,,n=alice,r=a\x7fc", "n,,n=alice,r=ab\u00e4",
		"n,,m=x,n=alice,r=abc", "n,,n=alice,r=abc,m=x", "n,,n=alice,r=abc,r=def", "n,,n=alice,r=abc,", "n,,n=alice,r=abc,x", "n,,n=ali\xffce,r=abc", "n,,n=ali\x00ce,r=abc",
		"F,n,,n=alice,r=abc", "p=tls-unique,,n=alice,r=abc", "n,,n=alice,r=" + strings.Repeat("x", 2000), "n,,n=" + strings.Repeat("x", 2000) + ",r=abc", "n,,n=\u0007,r=abc", "n,,n=\u00ad,r=abc",
	} {
		_, _, err := begin().Next([]byte(first))
		require.ErrorIs(t, err, auth.ErrBadCredentials, "%.60q", first)
	}
	proof := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, final := range []string{
		"", "c=biws", "c=biws,r=R", "c=biws,p=" + proof, "r=R,c=biws,p=" + proof, "c=biws,r=R,p=", "c=biws,r=R,p=AAAA", "c=biws,r=R,p=" + proof + ",x=y", "c=biws,r=R,p=!" + proof,
		"c=,r=R,p=" + proof, "c=eSws,r=R,p=" + proof, "c=biws,r=R,m=x,p=" + proof, "c=biws,r=R,p=" + proof + "\n", "c=bi\nws,r=R,p=" + proof, "c=biws,r=RR,p=" + proof, "c=biws,r=,p=" + proof,
		"c=biws,r=R,p=" + strings.TrimRight(proof, "=") + "B=", // another spelling of the same octets
	} {
		e := begin()
		challenge, _, err := e.Next([]byte("n,,n=alice,r=abc,x=ignored"))
		require.NoError(t, err)
		nonce, _, _ := strings.Cut(strings.TrimPrefix(string(challenge), "r="), ",")
		_, _, err = e.Next([]byte(strings.Replace(final, "R", nonce, 1)))
		require.ErrorIs(t, err, auth.ErrBadCredentials, "%.60q", final)
		_, _, err = e.Next([]byte{})
		require.Error(t, err, "an exchange that failed is over")
	}
	require.Zero(t, asked, "nobody is asked about what can't be right")
}

func TestSCRAMEndsOnlyWithAnEmptyResponse(t *testing.T) {
	client := &authtest.SCRAM{Mechanism: "SCRAM-SHA-256", User: "alice", Password: "secret"}
	_, response, _ := client.Start()
	e, err := auth.NewExchange(t.Context(), "scram-sha-256", scramVault(t), auth.Policy{}, auth.Credentials{})
	require.NoError(t, err)
	for range 2 {
		challenge, _, err := e.Next(response)
		require.NoError(t, err)
		response, err = client.Next(challenge)
		require.NoError(t, err)
	}
	_, done, err := e.Next([]byte("x"))
	require.ErrorIs(t, err, auth.ErrBadCredentials)
	require.False(t, done)
	require.Zero(t, e.Identity())
}

func TestA10ChannelBindingIsChecked(t *testing.T) {
	v := scramVault(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		server, client := auth.Handshake(t, version)
		stranger, _ := auth.Handshake(t, version)
		exporter, err := client.ExportKeyingMaterial("EXPORTER-Channel-Binding", []byte{}, 32)
		require.NoError(t, err)
		for _, c := range []struct {
			mechanism, flag string
			data            []byte
			at              *tls.ConnectionState
			ok              bool
		}{
			{"SCRAM-SHA-256-PLUS", "p=tls-exporter", exporter, server, true},
			{"SCRAM-SHA-256-PLUS", "p=tls-unique", client.TLSUnique, server, version == tls.VersionTLS12},
			{"SCRAM-SHA-256-PLUS", "p=tls-exporter", exporter, stranger, false}, // somebody stands between
			{"SCRAM-SHA-256-PLUS", "p=tls-exporter", nil, server, false},
			{"SCRAM-SHA-256-PLUS", "p=tls-exporter", exporter[:31], server, false},
			{"SCRAM-SHA-256-PLUS", "p=tls-server-end-point", exporter, server, false},
			{"SCRAM-SHA-256-PLUS", "p=no-such-type", nil, server, false},
			{"SCRAM-SHA-256-PLUS", "n", nil, server, false},
			{"SCRAM-SHA-256-PLUS", "y", nil, server, false},
			{"SCRAM-SHA-256", "p=tls-exporter", exporter, server, false},
			{"SCRAM-SHA-256", "n", nil, server, true},
			{"SCRAM-SHA-256", "n", exporter, server, false},
			{"SCRAM-SHA-256", "y", nil, server, false}, // -PLUS was offered: somebody took it off the list
			{"SCRAM-SHA-256", "y", nil, nil, true},
		} {
			creds := auth.Credentials{Secure: c.at != nil, TLS: c.at}
			e, err := run(t, v, auth.Policy{}, creds, &authtest.SCRAM{Mechanism: c.mechanism, User: "alice", Password: "secret", Flag: c.flag, Binding: c.data})
			if c.ok {
				require.NoError(t, err, "%+v", c)
				require.Equal(t, "alice", e.Identity().User)
			} else {
				require.ErrorIs(t, err, auth.ErrBadCredentials, "%+v", c)
			}
		}
		only := auth.Policy{Secure: []string{"SCRAM-SHA-256"}}
		_, err = run(t, v, only, auth.Credentials{Secure: true, TLS: server}, &authtest.SCRAM{Mechanism: "SCRAM-SHA-256", User: "alice", Password: "secret", Flag: "y"})
		require.NoError(t, err, "the policy leaves -PLUS out: the client is right")
	}
}

func TestBindingMechanismsAreOfferedWithTLSOnly(t *testing.T) {
	server, _ := auth.Handshake(t, tls.VersionTLS13)
	v := scramVault(t)
	require.Equal(t, []string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"}, auth.Mechanisms(v, auth.Policy{}, auth.Credentials{Secure: true, TLS: server}))
	require.Equal(t, []string{"SCRAM-SHA-256"}, auth.Mechanisms(v, auth.Policy{}, auth.Credentials{}))
	require.Equal(t, []string{"SCRAM-SHA-256"}, auth.Mechanisms(v, auth.Policy{}, auth.Credentials{Secure: true, TLS: new(tls.ConnectionState)}), "of a channel that nothing is known of")
	_, err := auth.NewExchange(t.Context(), "SCRAM-SHA-256-PLUS", v, auth.Policy{}, auth.Credentials{})
	require.ErrorIs(t, err, auth.ErrNeedsTLS)
}

func Test3_4_3MechanismsAreChosenForSecureAndPlainConnections(t *testing.T) {
	clear := auth.Vault{User: "alice", Kinds: auth.Passwords | auth.ClearSecrets, Secrets: secret(t, "PLAIN", "secret")}
	hashed := auth.Vault{User: "alice", Kinds: auth.Passwords}
	secure, plain := auth.Credentials{Secure: true}, auth.Credentials{}
	all := auth.Policy{
		Secure: []string{"PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"},
		Plain:  []string{"DIGEST-MD5", "CRAM-MD5", "PLAIN"},
	}
	require.Equal(t, []string{"SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN"}, auth.Mechanisms(clear, auth.Policy{}, secure), "the MD5 kinds only where they are asked for")
	require.Equal(t, []string{"SCRAM-SHA-256", "SCRAM-SHA-1", "DIGEST-MD5", "CRAM-MD5", "PLAIN", "LOGIN"}, auth.Mechanisms(clear, all, secure))
	require.Equal(t, []string{"DIGEST-MD5", "CRAM-MD5"}, auth.Mechanisms(clear, all, plain), "PLAIN would show the password")
	require.Equal(t, []string{"PLAIN", "LOGIN"}, auth.Mechanisms(hashed, all, secure), "only where cleartext is retrievable")
	require.Empty(t, auth.Mechanisms(hashed, all, plain))
	require.Equal(t, []string{"SCRAM-SHA-256", "SCRAM-SHA-1"}, auth.Mechanisms(clear, auth.Policy{Secure: []string{}}, plain))
}

func TestA09ActingForSomebodyElseIsARightOfItsOwn(t *testing.T) {
	v := scramVault(t)
	v.Delegate = map[string]string{"alice": "bob"}
	for _, c := range []struct {
		a       auth.Authenticator
		authzID string
		want    string
	}{
		{v, "", "alice"}, {v, "alice", "alice"}, {v, "Alice", "alice"}, {v, "bob", ""}, {v, "a,b=c", ""},
		{auth.Delegating{Vault: v}, "", "alice"}, {auth.Delegating{Vault: v}, "alice", "alice"}, {auth.Delegating{Vault: v}, "bob", "bob"}, {auth.Delegating{Vault: v}, "carol", ""},
	} {
		e, err := run(t, c.a, auth.Policy{}, auth.Credentials{}, &authtest.SCRAM{Mechanism: "SCRAM-SHA-256", User: "alice", Password: "secret", AuthzID: c.authzID})
		require.Equal(t, c.want, e.Identity().User, c.authzID)
		require.Equal(t, c.want == "", err != nil, c.authzID)
	}
	_, err := run(t, auth.Delegating{Vault: v}, auth.Policy{}, auth.Credentials{}, &authtest.SCRAM{Mechanism: "SCRAM-SHA-256", User: "alice", Password: "wrong", AuthzID: "bob"})
	require.ErrorIs(t, err, auth.ErrBadCredentials, "the right is of no use without the password")
}

// begun returns the salt and the iterations that are shown to a user.
func begun(t *testing.T, a auth.Authenticator, p auth.Policy, mechanism, user string) string {
	e, err := auth.NewExchange(t.Context(), mechanism, a, p, auth.Credentials{})
	require.NoError(t, err)
	challenge, _, err := e.Next([]byte("n,,n=" + user + ",r=abc"))
	require.NoError(t, err)
	_, salt, ok := strings.Cut(string(challenge), ",")
	require.True(t, ok)
	return salt
}

func TestA14WhoDoesNotExistHasASaltOfHisOwn(t *testing.T) {
	p := auth.Policy{SCRAM: auth.SCRAMOptions{Key: []byte("configured"), Domain: "example.test"}}
	for _, v := range []auth.Vault{scramVault(t), {User: "alice", Kinds: auth.ClearSecrets, Secrets: secret(t, "PLAIN", "secret")}} {
		alice := begun(t, v, p, "SCRAM-SHA-256", "alice")
		mallory := begun(t, v, p, "SCRAM-SHA-256", "mallory")
		require.Regexp(t, `^s=[A-Za-z0-9+/]{22}==,i=32768$`, alice)
		require.Regexp(t, `^s=[A-Za-z0-9+/]{22}==,i=32768$`, mallory)
		require.NotEqual(t, alice, mallory)
		for _, spelling := range []string{"mallory", "MALLORY", "mallory@example.test", "mallory+tag"} {
			require.Equal(t, mallory, begun(t, v, p, "SCRAM-SHA-256", spelling), "it is always the same")
		}
		require.NotEqual(t, mallory, begun(t, v, p, "SCRAM-SHA-256", "mallory@other.test"))
		require.NotEqual(t, mallory, begun(t, v, auth.Policy{}, "SCRAM-SHA-256", "mallory"), "another key, another salt")
		require.Equal(t, begun(t, v, auth.Policy{}, "SCRAM-SHA-256", "mallory"), begun(t, v, auth.Policy{}, "SCRAM-SHA-256", "mallory"))
		require.Equal(t, alice, begun(t, v, p, "SCRAM-SHA-256", "Alice"))
	}
}

func TestA14DisabledMissingAndWrongFailAtTheSameStep(t *testing.T) {
	good, disabled := scramVault(t), scramVault(t)
	disabled.Disabled = true
	for _, c := range []struct {
		v              auth.Vault
		user, password string
		want           error
	}{{good, "alice", "wrong", auth.ErrBadCredentials}, {good, "mallory", "secret", auth.ErrBadCredentials}, {disabled, "alice", "secret", auth.ErrDisabled}, {disabled, "alice", "wrong", auth.ErrBadCredentials}} {
		_, err := run(t, c.v, auth.Policy{}, auth.Credentials{}, &authtest.SCRAM{Mechanism: "SCRAM-SHA-256", User: c.user, Password: c.password})
		require.ErrorIs(t, err, c.want)
		begun(t, c.v, auth.Policy{}, "SCRAM-SHA-256", c.user)
	}
}

func TestA14UnknownAndKnownTakeTheSameTime(t *testing.T) {
	for _, v := range []auth.Vault{scramVault(t), {User: "alice", Kinds: auth.ClearSecrets, Secrets: secret(t, "PLAIN", "secret")}} {
		times := map[string][]time.Duration{}
		proof := base64.StdEncoding.EncodeToString(make([]byte, 32))
		for range 41 {
			for _, user := range []string{"alice", "malor"} {
				e, err := auth.NewExchange(t.Context(), "SCRAM-SHA-256", v, fast, auth.Credentials{})
				require.NoError(t, err)
				began := time.Now()
				challenge, _, err := e.Next([]byte("n,,n=" + user + ",r=abc"))
				require.NoError(t, err)
				nonce, _, _ := strings.Cut(string(challenge), ",")
				_, _, err = e.Next(fmt.Appendf(nil, "c=biws,%s,p=%s", nonce, proof))
				times[user] = append(times[user], time.Since(began))
				require.ErrorIs(t, err, auth.ErrBadCredentials)
			}
		}
		median := func(d []time.Duration) float64 { slices.Sort(d); return float64(d[len(d)/2]) }
		ratio := median(times["malor"]) / median(times["alice"])
		t.Logf("known %.0f ns, unknown is %.2f of it", median(times["alice"]), ratio)
		require.InDelta(t, 1, ratio, 0.75)
	}
}

func TestSCRAMSaysWhenSecretsCannotBeAsked(t *testing.T) {
	v := scramVault(t)
	v.Err = fmt.Errorf("connection refused")
	_, err := run(t, v, auth.Policy{}, auth.Credentials{}, &authtest.SCRAM{Mechanism: "SCRAM-SHA-256", User: "alice", Password: "secret"})
	require.ErrorIs(t, err, auth.ErrUnavailable)
	require.NotErrorIs(t, err, auth.ErrBadCredentials)
}

func TestWrappersKeepSCRAM(t *testing.T) {
	a := auth.NewThrottle(auth.NewCache(scramVault(t), auth.CacheOptions{}), auth.ThrottleOptions{})
	e, err := run(t, a, auth.Policy{}, auth.Credentials{}, &authtest.SCRAM{Mechanism: "SCRAM-SHA-256", User: "alice", Password: "secret"})
	require.NoError(t, err)
	require.Equal(t, "alice", e.Identity().User)
	for range 5 {
		_, err = run(t, a, auth.Policy{}, auth.Credentials{}, &authtest.SCRAM{Mechanism: "SCRAM-SHA-256", User: "mallory", Password: "x"})
		require.ErrorIs(t, err, auth.ErrBadCredentials)
	}
}

func TestA10TheClientOfTheTestsBoundsIterationsToo(t *testing.T) {
	for _, count := range []string{"1", "2147483648", "x"} {
		c := &authtest.SCRAM{Mechanism: "SCRAM-SHA-256", User: "alice", Password: "secret", Nonce: "abc"}
		_, _, err := c.Start()
		require.NoError(t, err)
		_, err = c.Next([]byte("r=abcdef,s=QUFB,i=" + count))
		require.ErrorIs(t, err, authtest.ErrIterations)
	}
}
