package auth

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func clearVault(user, password string) vault {
	return vault{User: user, Kinds: Passwords | ClearSecrets, Secrets: map[string]Secret{"PLAIN": {"PLAIN", []byte(password)}}}
}

func TestCRAMMD5ExampleOfRFC2195(t *testing.T) {
	v := clearVault("tim", "tanstaaftanstaaf")
	for _, c := range []struct {
		response string
		ok       bool
	}{
		{"tim b913a602c7eda7a495b4e6e7334d3890", true}, {"tim B913A602C7EDA7A495B4E6E7334D3890", true}, {"tim b913a602c7eda7a495b4e6e7334d3891", false}, {"tom b913a602c7eda7a495b4e6e7334d3890", false},
		{"", false}, {"tim", false}, {"tim ", false}, {" b913a602c7eda7a495b4e6e7334d3890", false}, {"tim b913", false}, {"tim b913a602c7eda7a495b4e6e7334d389000", false}, {"tim x913a602c7eda7a495b4e6e7334d3890", false},
		{"ti\xffm b913a602c7eda7a495b4e6e7334d3890", false}, {strings.Repeat("x", 2000) + " b913a602c7eda7a495b4e6e7334d3890", false},
	} {
		e := dialogue(v, &cramMD5{nonce: "1896.697170952"}, Credentials{}, Policy{Realm: "postoffice.reston.mci.net"})
		challenge, _, err := e.Next(nil)
		require.NoError(t, err)
		require.Equal(t, "<1896.697170952@postoffice.reston.mci.net>", string(challenge))
		_, done, err := e.Next([]byte(c.response))
		require.Equal(t, c.ok, done, c.response)
		if !c.ok {
			require.ErrorIs(t, err, ErrBadCredentials, c.response)
		}
	}
}

// chris answers as RFC 2831 §4 has it.
const chris = `charset=utf-8,username="chris",realm="elwood.innosoft.com",nonce="OA6MG9tEQGm2hh",nc=00000001,cnonce="OA6MHXh6VqTrRk",` +
	`digest-uri="imap/elwood.innosoft.com",response=d388dad90d4bbd760a152321f2143af7,qop=auth`

func digestOf(v Authenticator) *Exchange {
	return dialogue(v, &digestMD5{nonce: "OA6MG9tEQGm2hh"}, Credentials{Service: "imap"}, Policy{Realm: "elwood.innosoft.com"})
}

func TestDigestMD5ExampleOfRFC2831(t *testing.T) {
	e := digestOf(clearVault("chris", "secret"))
	challenge, _, err := e.Next(nil)
	require.NoError(t, err)
	require.Equal(t, `realm="elwood.innosoft.com",nonce="OA6MG9tEQGm2hh",qop="auth",charset=utf-8,algorithm=md5-sess`, string(challenge))
	say(t, e, chris, "rspauth=ea40f60335c427b5527b84dbabcdfffd")
	require.Zero(t, e.Identity())
	ends(t, e, "chris")
}

func TestDigestMD5RefusesWhatIsNotAnAnswerToItsChallenge(t *testing.T) {
	for _, c := range [][2]string{
		{"OA6MG9tEQGm2hh", "OA6MG9tEQGm2hi"}, {"00000001", "00000002"}, {`realm="elwood.innosoft.com"`, `realm="other"`}, {`realm="elwood.innosoft.com",`, ``},
		{`cnonce="OA6MHXh6VqTrRk",`, ``}, {`"imap/`, `"smtp/`}, {`"imap/elwood.innosoft.com"`, `"imap"`}, {"qop=auth", "qop=auth-int"}, {"qop=auth", "qop=auth-conf"},
		{"charset=utf-8", "charset=iso-2022-jp"}, {"d388", "d389"}, {"d388dad90d4bbd760a152321f2143af7", "d388"}, {`username="chris",`, ``}, {`username="chris"`, `username="chris",username="chris"`},
		{`"chris"`, `"chris`}, {`"chris"`, `"chris"x`}, {`"chris"`, "\"chr\xffis\""}, {`"chris"`, `"mallory"`}, {"charset=utf-8,", "=,"}, {"charset=utf-8,", `a b=c,`}, {"qop=auth", `qop="auth\`},
		{"qop=auth", "qop=auth,authzid=\"bob\""}, {"charset=utf-8,", "x=" + strings.Repeat("y", 5000) + ","},
	} {
		e := digestOf(clearVault("chris", "secret"))
		_, _, err := e.Next(nil)
		require.NoError(t, err)
		require.Contains(t, chris, c[0])
		_, _, err = e.Next([]byte(strings.Replace(chris, c[0], c[1], 1)))
		require.ErrorIs(t, err, ErrBadCredentials, "%.60q", c)
	}
}

func TestDigestMD5HashesLatin1WhereThatCanWriteIt(t *testing.T) {
	for _, c := range []struct{ charset, user, hashedUser, hashedPassword, password string }{
		{"charset=utf-8,", "zoë", "zo\xeb", "p\xe4ss", "päss"},
		{"", "zo\xeb", "zo\xeb", "p\xe4ss", "päss"},
		{"charset=utf-8,", "zoë", "zo\xeb", "ключ", "ключ"},
	} {
		inner := md5.Sum([]byte(c.hashedUser + ":localhost:" + c.hashedPassword))
		k := md5Key(md5Hex(string(inner[:]) + ":N:C"))
		d := map[string]string{"nonce": "N", "nc": "00000001", "cnonce": "C", "digest-uri": "pop/host"}
		e := dialogue(clearVault("zoë", c.password), &digestMD5{nonce: "N"}, Credentials{Service: "pop3"}, Policy{})
		_, _, err := e.Next(nil)
		require.NoError(t, err)
		say(t, e, fmt.Sprintf(`%susername="%s",realm=localhost,nonce=N,nc=00000001,cnonce=C,digest-uri="pop/host",response=%s`, c.charset, c.user, k.response(d, "AUTHENTICATE")), "rspauth="+k.response(d, ""))
		ends(t, e, "zoë")
	}
}

func TestMechanismsWhereTheServerBeginsTakeNoInitialResponse(t *testing.T) {
	for _, name := range []string{"CRAM-MD5", "DIGEST-MD5"} {
		e, err := NewExchange(t.Context(), name, clearVault("alice", "secret"), Policy{Plain: []string{name}}, Credentials{})
		require.NoError(t, err)
		_, _, err = e.Next([]byte{})
		require.ErrorIs(t, err, ErrInitialResponse)
		require.ErrorIs(t, err, ErrBadCredentials)
	}
}

func TestA14CRAMAndDigestChecksAreDoneForNobodyToo(t *testing.T) {
	checked := 0
	e := dialogue(clearVault("alice", "secret"), plain{}, Credentials{User: "mallory"}, Policy{})
	err := e.checkResponse("", &Response{Scheme: "PLAIN", Check: func(s Secret) bool { checked++; return true }}, noSecret())
	require.ErrorIs(t, err, ErrBadCredentials)
	require.Equal(t, 1, checked)
	e = dialogue(trusting, plain{}, Credentials{User: "mallory"}, Policy{})
	err = e.checkResponse("", &Response{Scheme: "PLAIN", Check: func(s Secret) bool { return false }}, noSecret())
	require.ErrorIs(t, err, ErrUnavailable, "an Authenticator that checks nothing lets nobody in")
}

// certified is a connection of a client with a certificate.
func certified(t testing.TB, name string) *tls.ConnectionState {
	server, _ := handshake(t, tls.VersionTLS12)
	leaf := &x509.Certificate{Subject: pkix.Name{CommonName: name}}
	server.VerifiedChains = [][]*x509.Certificate{{leaf}}
	return server
}

func TestExternalNeedsAVerifiedCertificate(t *testing.T) {
	v := vault{User: "alice", Kinds: Certificates}
	unverified := certified(t, "alice")
	unverified.VerifiedChains = nil
	for _, c := range []Credentials{{}, {Secure: true}, {Secure: true, TLS: unverified}} {
		require.Empty(t, Mechanisms(v, Policy{}, c))
		_, err := NewExchange(t.Context(), "EXTERNAL", v, Policy{}, c)
		require.Error(t, err)
	}
	secure := Credentials{Secure: true, TLS: certified(t, "alice")}
	require.Equal(t, []string{"EXTERNAL"}, Mechanisms(v, Policy{}, secure))
	require.Empty(t, Mechanisms(alice, Policy{Secure: []string{"EXTERNAL"}}, secure), "nobody can check it")
	v.Delegate = map[string]string{"alice": "bob"}
	for _, c := range []struct {
		a       Authenticator
		name    string
		authzID string
		want    string
	}{
		{v, "alice", "", "alice"}, {v, "alice", "Alice", "alice"}, {v, "alice", "bob", ""}, {v, "mallory", "", ""}, {v, "mallory", "alice", ""}, {v, "alice", "al\x00ice", ""}, {v, "alice", "al\xffice", ""},
		{delegating{v}, "alice", "", "alice"}, {delegating{v}, "alice", "ALICE", "alice"}, {delegating{v}, "alice", "bob", "bob"}, {delegating{v}, "alice", "carol", ""}, {delegating{v}, "mallory", "bob", ""},
	} {
		e, err := NewExchange(t.Context(), "EXTERNAL", c.a, Policy{}, Credentials{Secure: true, TLS: certified(t, c.name)})
		require.NoError(t, err)
		challenge, _, err := e.Next(nil)
		require.NoError(t, err)
		require.Equal(t, []byte{}, challenge)
		_, done, err := e.Next([]byte(c.authzID))
		require.Equal(t, c.want != "", done, "%+v", c)
		require.Equal(t, c.want, e.Identity().User, "A09: %+v", c)
		if !done {
			require.ErrorIs(t, err, ErrBadCredentials)
		}
	}
}

// hinting tells what a token must be.
type hinting struct{ vault }

func (hinting) TokenHint() (string, string) { return "mail", "https://issuer.test/config" }

func TestOAUTHBEARERExamplesOfRFC7628(t *testing.T) {
	v := hinting{vault{User: "user@example.com", Kinds: Tokens}}
	secure := Credentials{Secure: true}
	begin := func() *Exchange {
		e, err := NewExchange(t.Context(), "OAUTHBEARER", v, Policy{}, secure)
		require.NoError(t, err)
		return e
	}
	const good = "n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer good.token\x01\x01"
	e := begin()
	_, done, err := e.Next([]byte(good))
	require.NoError(t, err)
	require.True(t, done)
	require.Equal(t, "user@example.com", e.Identity().User)
	for _, wrong := range []string{strings.Replace(good, "good.token", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==", 1), strings.Replace(good, "Bearer good.token", "", 1), strings.Replace(good, "user@", "other@", 1)} {
		e = begin()
		say(t, e, wrong, `{"status":"invalid_token","scope":"mail","openid-configuration":"https://issuer.test/config"}`)
		require.Zero(t, e.Identity())
		_, done, err = e.Next([]byte{1})
		require.ErrorIs(t, err, ErrBadCredentials)
		require.False(t, done)
	}
	for _, bad := range []string{
		"", "\x01", "n,,", "n,,\x01", "n,,\x01auth=Bearer good.token", "n,,\x01auth=Bearer good.token\x01", "p=tls-unique,,\x01auth=Bearer good.token\x01\x01", "n,,\x01auth\x01\x01",
		"n,,\x01auth=Bearer good.token\x01auth=Bearer good.token\x01\x01", "n,,\x01auth=Bearer good.token\x01\x01x", "n,a=x=y,\x01auth=Bearer good.token\x01\x01", "x,,\x01auth=Bearer good.token\x01\x01",
		"n,,\x01auth=Bearer good.token\x00\x01\x01",
	} {
		_, _, err = begin().Next([]byte(bad))
		require.ErrorIs(t, err, ErrBadCredentials, "%q", bad)
	}
	_, err = NewExchange(t.Context(), "OAUTHBEARER", v, Policy{}, Credentials{})
	require.ErrorIs(t, err, ErrNeedsTLS, "a token shows itself to the network")
}

func TestXOAUTH2TellsOfAFailureAndThenFails(t *testing.T) {
	begin := func() *Exchange {
		e, err := NewExchange(t.Context(), "XOAUTH2", vault{User: "alice", Kinds: Tokens}, Policy{}, Credentials{Secure: true})
		require.NoError(t, err)
		challenge, _, err := e.Next(nil)
		require.NoError(t, err)
		require.Empty(t, challenge)
		return e
	}
	e := begin()
	_, done, err := e.Next([]byte("user=alice\x01auth=Bearer good.token\x01\x01"))
	require.NoError(t, err)
	require.True(t, done)
	e = begin()
	require.NoError(t, e.Refused())
	say(t, e, "user=alice\x01auth=Bearer bad\x01\x01", `{"status":"401","schemes":"Bearer"}`)
	require.ErrorIs(t, e.Refused(), ErrBadCredentials, "a client that cancels now has failed all the same")
	_, _, err = e.Next([]byte{})
	require.ErrorIs(t, err, ErrBadCredentials)
	for _, bad := range []string{"", "user=\x01auth=Bearer good.token\x01\x01", "alice\x01auth=Bearer good.token\x01\x01", "user=alice", "user=al\x00ice\x01auth=Bearer good.token\x01\x01"} {
		_, _, err = begin().Next([]byte(bad))
		require.ErrorIs(t, err, ErrBadCredentials, "%q", bad)
	}
	broken := vault{User: "alice", Kinds: Tokens, Err: ErrUnavailable}
	e, err = NewExchange(t.Context(), "XOAUTH2", broken, Policy{}, Credentials{Secure: true})
	require.NoError(t, err)
	_, _, err = e.Next([]byte("user=alice\x01auth=Bearer good.token\x01\x01"))
	require.ErrorIs(t, err, ErrUnavailable, "A11: an issuer that is down is no bad token")
}

func TestA11AMegabyteOfTokenIsRefused(t *testing.T) {
	long := func(n int) []byte { return []byte("n,,\x01auth=Bearer " + strings.Repeat("x", n) + "\x01\x01") }
	for n, want := range map[int]string{12 << 10: `{"status":"invalid_token"}`, 1 << 20: ""} {
		e, err := NewExchange(t.Context(), "OAUTHBEARER", vault{User: "alice", Kinds: Tokens}, Policy{}, Credentials{Secure: true})
		require.NoError(t, err)
		challenge, _, err := e.Next(long(n))
		require.Equal(t, want, string(challenge))
		require.Equal(t, want == "", err != nil)
	}
}

func TestGuessingAtNobodyCountsForItsNetworkAlone(t *testing.T) {
	th := NewThrottle(vault{User: "alice", Kinds: Tokens}, ThrottleOptions{UserFailures: 2, NetworkFailures: 100})
	for range 10 {
		_, err := th.Authenticate(context.Background(), Credentials{Remote: abroad, Proof: Token("bad")})
		require.ErrorIs(t, err, ErrBadCredentials)
	}
	_, err := th.Authenticate(context.Background(), Credentials{Remote: home, Proof: Token("good.token")})
	require.NoError(t, err, "those who name nobody are not one account")
}

// FuzzMechanisms answers every mechanism with anything. What is signed here
// with alice's secret may log in, and nothing else.
func FuzzMechanisms(f *testing.F) {
	mac := hmac.New(md5.New, []byte("secret"))
	f.Add("SCRAM-SHA-256", []byte("n,,n=alice,r=abc"), []byte("c=biws,r=abcN,p=AAAA"), []byte(""))
	f.Add("SCRAM-SHA-1-PLUS", []byte("p=tls-unique,a=bob,n=alice,r=abc"), []byte("c=cD10bHMtdW5pcXVlLGE9Ym9iLHVuaXF1ZQ==,r=abcN,x=y,p=AAAA"), []byte(""))
	f.Add("SCRAM-SHA-256-PLUS", []byte("p=tls-exporter,,n=alice,r=abc"), []byte("c=cD10bHMtZXhwb3J0ZXIsLA==,r=abcN,p=AAAA"), []byte(""))
	f.Add("CRAM-MD5", []byte(nil), []byte("alice "+hex.EncodeToString(mac.Sum(nil))), []byte(nil))
	f.Add("DIGEST-MD5", []byte(nil), []byte(chris), []byte(""))
	f.Add("EXTERNAL", []byte("bob"), []byte(nil), []byte(nil))
	f.Add("OAUTHBEARER", []byte("n,a=alice,\x01auth=Bearer bad\x01\x01"), []byte{1}, []byte(nil))
	f.Add("XOAUTH2", []byte("user=alice\x01auth=Bearer good.token\x01\x01"), []byte{1}, []byte(nil))
	f.Add("PLAIN", []byte("\x00alice\x00secret"), []byte(nil), []byte(nil))
	all := Policy{Secure: []string{"EXTERNAL", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "OAUTHBEARER", "XOAUTH2", "DIGEST-MD5", "CRAM-MD5", "PLAIN", "LOGIN"}}
	v := vault{User: "alice", Kinds: Passwords | SCRAMSHA256Secrets | SCRAMSHA1Secrets | ClearSecrets | Tokens | Certificates, Delegate: map[string]string{}, Secrets: map[string]Secret{
		"PLAIN": {"PLAIN", []byte("secret")}, "SCRAM-SHA-256": stored(f, scramSHA256(), "secret", "QUFB", 4096), "SCRAM-SHA-1": stored(f, scramSHA1(), "secret", "QUFB", 4096),
	}}
	c := Credentials{Service: "imap", Secure: true, TLS: certified(f, "mallory")}
	f.Fuzz(func(t *testing.T, name string, one, two, three []byte) {
		e, err := NewExchange(context.Background(), name, delegating{v}, all, c)
		if err != nil {
			require.ErrorIs(t, err, ErrMechanism)
			return
		}
		over := false
		for _, response := range [][]byte{one, two, three, {}} {
			challenge, done, err := e.Next(response)
			require.False(t, done && (over || err != nil), "done after the end")
			require.False(t, over && err == nil, "over, and yet it goes on")
			if err != nil {
				require.ErrorIs(t, err, ErrBadCredentials)
				require.Nil(t, challenge)
			}
			over = over || done || err != nil
			if user := e.Identity().User; user != "" {
				require.True(t, over)
				require.Equal(t, "alice", user)
				require.NotContains(t, name, "SCRAM", "the nonce can't be guessed")
			}
		}
	})
}
