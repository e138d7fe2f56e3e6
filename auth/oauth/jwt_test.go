package oauth

import (
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/authtest"
	"github.com/posthouse-mail/posthouse/directory"
)

func asToken(secret string) auth.Proof { return auth.Token(secret) }

func TestJWTsKeepThePromisesOfAnAuthenticator(t *testing.T) {
	s, gone := newIssuer(t), newIssuer(t)
	gone.down.Store(true)
	r := s.rules()
	r.Accounts = house()
	authtest.Run(t, authtest.Fixture{
		Auth: s.jwt(t, JWT{}, r), User: "Alice", Password: s.token(), Identity: "alice@example.test", Other: "bob", Unknown: "mallory", Shown: asToken,
		Disabled: "carol", DisabledPassword: s.token(map[string]any{"email": "carol@example.test"}),
		Broken: s.jwt(t, JWT{KeysURL: gone.URL + "/keys"}, r),
	})
}

func TestA11AlgNoneIsRefused(t *testing.T) {
	s := newIssuer(t)
	a := s.jwt(t, JWT{}, s.rules())
	encode := base64.RawURLEncoding.EncodeToString
	payload := encode(must(json.Marshal(s.claims())))
	good := strings.Split(s.token(), ".")
	for _, alg := range []string{"none", "None", "NONE", "nOnE", ""} {
		header := encode([]byte(`{"alg":"` + alg + `","kid":"one"}`))
		for _, signature := range []string{"", good[2]} {
			_, err := show(t, a, header+"."+payload+"."+signature)
			require.ErrorIs(t, err, auth.ErrBadCredentials, alg)
		}
	}
	require.Zero(t, s.fetched.Load(), "such a token is not worth a question")
}

func TestA11AnHMACUnderThePublicKeyIsRefused(t *testing.T) {
	s := newIssuer(t)
	a := s.jwt(t, JWT{}, s.rules())
	der := must(x509.MarshalPKIXPublicKey(rsaKey().Public()))
	for _, secret := range [][]byte{
		der, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey),
	} {
		for _, alg := range []jose.SignatureAlgorithm{jose.HS256, jose.HS384, jose.HS512} {
			_, err := show(t, a, sign(alg, secret, map[string]any{"kid": "one"}, s.claims()))
			require.ErrorIs(t, err, auth.ErrBadCredentials)
		}
	}
}

func TestA11AKeySetWithASecretInItVerifiesNothingWithIt(t *testing.T) {
	s := newIssuer(t)
	secret := []byte("a secret that should not be here")
	s.keys = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: secret, KeyID: "one"}, {Key: rsaKey(), KeyID: "private"}, {Key: rsaKey().Public(), KeyID: "good"}}}
	a := s.jwt(t, JWT{}, s.rules())
	_, err := show(t, a, sign(jose.HS256, secret, map[string]any{"kid": "one"}, s.claims()))
	require.ErrorIs(t, err, auth.ErrBadCredentials)
	_, err = show(t, a, sign(jose.RS256, rsaKey(), map[string]any{"kid": "private"}, s.claims()))
	require.ErrorIs(t, err, auth.ErrBadCredentials)
	_, err = show(t, a, sign(jose.RS256, rsaKey(), map[string]any{"kid": "good"}, s.claims()))
	require.NoError(t, err)
	_, err = NewJWT(JWT{Algorithms: []string{"RS256", "HS256"}}, s.rules())
	require.ErrorIs(t, err, ErrConfig)
}

func TestA11ATokenOfAnotherIssuerOrForAnotherAudienceIsRefused(t *testing.T) {
	s := newIssuer(t)
	a := s.jwt(t, JWT{}, s.rules())
	for name, values := range map[string][]any{
		"iss": {nil, "", s.URL + "/", strings.ToUpper(s.URL), "https://evil.example", []string{s.URL}, 1},
		"aud": {nil, "", "web", "Mail", "mail ", []string{}, []string{"mailer"}, map[string]any{"mail": 1}, 1},
	} {
		for _, value := range values {
			_, err := show(t, a, s.token(map[string]any{name: value}))
			require.ErrorIs(t, err, auth.ErrBadCredentials, "%s %v", name, value)
		}
	}
	for _, aud := range []any{"mail", []string{"mail"}} {
		_, err := show(t, a, s.token(map[string]any{"aud": aud}))
		require.NoError(t, err)
	}
	// A claim in other letters is another claim.
	_, err := show(t, a, s.token(map[string]any{"iss": "https://evil.example", "ISS": s.URL, "Iss": s.URL}))
	require.ErrorIs(t, err, auth.ErrBadCredentials)
}

func TestA11AnExpiredTokenIsRefused(t *testing.T) {
	s := newIssuer(t)
	a := s.jwt(t, JWT{}, s.rules())
	now := time.Now()
	for what, claims := range map[string]map[string]any{
		"expired": {"exp": now.Add(-61 * time.Second).Unix()}, "no exp": {"exp": nil}, "exp as text": {"exp": "9999999999"}, "exp 0": {"exp": 0},
		"exp negative": {"exp": -1}, "exp in milliseconds": {"exp": now.Add(time.Hour).UnixMilli()}, "exp beyond bounds": {"exp": 1e300},
		"not yet": {"nbf": now.Add(3 * time.Minute).Unix()}, "issued later": {"iat": now.Add(3 * time.Minute).Unix()}, "nbf as text": {"nbf": "1"},
	} {
		_, err := show(t, a, s.token(claims))
		require.ErrorIs(t, err, auth.ErrBadCredentials, what)
	}
	for what, claims := range map[string]map[string]any{
		"within the leeway": {"exp": now.Add(-20 * time.Second).Unix()}, "nbf within it": {"nbf": now.Add(20 * time.Second).Unix()},
		"a fraction": {"exp": float64(now.Unix()) + 100.5}, "no iat": {"iat": nil},
	} {
		_, err := show(t, a, s.token(claims))
		require.NoError(t, err, what)
	}
}

func TestA11AKidIsOnlyEverCompared(t *testing.T) {
	s := newIssuer(t)
	a := s.jwt(t, JWT{}, s.rules())
	_, err := show(t, a, s.token())
	require.NoError(t, err)
	for _, kid := range []any{"../one", "../../etc/passwd", "/dev/null", "file:///etc/passwd", s.URL + "/keys", "one\x00", "' OR 1=1 --", "One"} {
		_, err := show(t, a, sign(jose.RS256, rsaKey(), map[string]any{"kid": kid}, s.claims()))
		require.ErrorIs(t, err, auth.ErrBadCredentials, kid)
	}
	require.EqualValues(t, 1, s.fetched.Load(), "an unknown kid asks once a minute at most")
}

func TestA11AKeyOrAURLInATokenIsNotLookedAt(t *testing.T) {
	s, evil := newIssuer(t), newIssuer(t)
	a := s.jwt(t, JWT{}, s.rules())
	key := ecKey(elliptic.P256())
	embedded := jose.JSONWebKey{Key: key, KeyID: "mine", Algorithm: "ES256"}
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: embedded}, &jose.SignerOptions{EmbedJWK: true}))
	token := must(must(signer.Sign(must(json.Marshal(s.claims())))).CompactSerialize())
	_, err := show(t, a, token)
	require.ErrorIs(t, err, auth.ErrBadCredentials)
	for _, name := range []string{"jku", "x5u"} {
		_, err = show(t, a, sign(jose.ES256, key, map[string]any{"kid": "mine", name: evil.URL + "/keys"}, s.claims()))
		require.ErrorIs(t, err, auth.ErrBadCredentials)
	}
	require.Zero(t, evil.fetched.Load())
}

func TestA11ATokenOfAMegabyteIsRefusedUnread(t *testing.T) {
	s := newIssuer(t)
	a := s.jwt(t, JWT{}, s.rules())
	for _, token := range []string{
		strings.Repeat("a", 1<<20), s.token(map[string]any{"x": strings.Repeat("a", 1<<20)}), strings.Repeat("=", 1<<20), strings.Repeat(".", 1<<20),
	} {
		_, err := show(t, a, token)
		require.ErrorIs(t, err, auth.ErrBadCredentials)
	}
	for _, token := range []string{"", ".", "..", "a.b", "a.b.c.d.e", "=", "eyJ", "{}", "a b", "\x00", "ä", `{"payload":"","signatures":[]}`} {
		_, err := show(t, a, token)
		require.ErrorIs(t, err, auth.ErrBadCredentials, token)
	}
	require.Zero(t, s.fetched.Load())
}

func TestEveryAllowedAlgorithmVerifiesWithItsOwnKeyOnly(t *testing.T) {
	s := newIssuer(t)
	p256, p384, p521, ed := ecKey(elliptic.P256()), ecKey(elliptic.P384()), ecKey(elliptic.P521()), edKey()
	s.keys = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: rsaKey().Public(), KeyID: "rsa"}, {Key: p256.Public(), KeyID: "p256"}, {Key: p384.Public(), KeyID: "p384"},
		{Key: p521.Public(), KeyID: "p521"}, {Key: ed.Public(), KeyID: "ed"}, {Key: rsaKey().Public(), KeyID: "only", Algorithm: "PS256"},
		{Key: rsaKey().Public(), KeyID: "enc", Use: "enc"},
	}}
	a := s.jwt(t, JWT{}, s.rules())
	for _, c := range []struct {
		alg jose.SignatureAlgorithm
		key any
		kid string
		ok  bool
	}{
		{jose.RS256, rsaKey(), "rsa", true}, {jose.RS384, rsaKey(), "rsa", true}, {jose.RS512, rsaKey(), "rsa", true},
		{jose.PS256, rsaKey(), "rsa", true}, {jose.PS384, rsaKey(), "rsa", true}, {jose.PS512, rsaKey(), "rsa", true},
		{jose.ES256, p256, "p256", true}, {jose.ES384, p384, "p384", true}, {jose.ES512, p521, "p521", true}, {jose.EdDSA, ed, "ed", true},
		{jose.PS256, rsaKey(), "only", true}, {jose.RS256, rsaKey(), "only", false}, {jose.RS256, rsaKey(), "enc", false},
		{jose.ES256, p256, "p384", false}, {jose.ES256, p256, "rsa", false}, {jose.EdDSA, ed, "p256", false}, {jose.ES256, ecKey(elliptic.P256()), "p256", false},
		{jose.EdDSA, ed, "", true}, {jose.RS256, rsaKey(), "", true}, {jose.PS256, rsaKey(), "", false}, // without a kid there must be no choice
	} {
		header := map[string]any{}
		if c.kid != "" {
			header["kid"] = c.kid
		}
		_, err := show(t, a, sign(c.alg, c.key, header, s.claims()))
		if c.ok {
			require.NoError(t, err, "%s %s", c.alg, c.kid)
		} else {
			require.ErrorIs(t, err, auth.ErrBadCredentials, "%s %s", c.alg, c.kid)
		}
	}
	narrow := s.jwt(t, JWT{Algorithms: []string{"ES256"}}, s.rules())
	_, err := show(t, narrow, sign(jose.RS256, rsaKey(), map[string]any{"kid": "rsa"}, s.claims()))
	require.ErrorIs(t, err, auth.ErrBadCredentials)
}

func TestATokenThatIsNoAccessTokenForUsIsRefused(t *testing.T) {
	s := newIssuer(t)
	a, strict := s.jwt(t, JWT{}, s.rules()), s.jwt(t, JWT{AccessType: true}, s.rules())
	for typ, want := range map[string][2]bool{
		"": {true, false}, "JWT": {true, false}, "jwt": {true, false}, "at+jwt": {true, true}, "AT+JWT": {true, true}, "application/at+jwt": {true, true},
		"logout+jwt": {}, "dpop+jwt": {}, "secevent+jwt": {}, "jose": {},
	} {
		header := map[string]any{"kid": "one"}
		if typ != "" {
			header["typ"] = typ
		}
		for i, by := range []*Authenticator{a, strict} {
			_, err := show(t, by, sign(jose.RS256, rsaKey(), header, s.claims()))
			require.Equal(t, want[i], err == nil, "%q: %v", typ, err)
		}
	}
	for _, header := range []map[string]any{
		{"kid": "one", "typ": 1}, {"kid": "one", "crit": []string{"exp"}}, {"kid": "one", "crit": []string{"b64"}, "b64": true}, {"kid": "one", "crit": []string{}},
	} {
		_, err := show(t, a, sign(jose.RS256, rsaKey(), header, s.claims()))
		require.ErrorIs(t, err, auth.ErrBadCredentials, "%v", header)
	}
	for _, claims := range []map[string]any{
		{"cnf": map[string]any{"jkt": "x"}}, {"token_use": "id"}, {"token_use": 1}, {"scope": "openid"}, {"scope": nil}, {"scope": "IMAP"}, {"scope": "imapx"},
	} {
		_, err := show(t, a, s.token(claims))
		require.ErrorIs(t, err, auth.ErrBadCredentials, "%v", claims)
	}
	for _, claims := range []map[string]any{
		{"scope": nil, "scp": "x imap"}, {"scope": nil, "scp": []string{"x", "imap"}}, {"scope": []string{"imap"}}, {"token_use": "access"}, {"cnf": nil},
	} {
		_, err := show(t, a, s.token(claims))
		require.NoError(t, err, "%v", claims)
	}
}

func TestATokenNamesOneAccount(t *testing.T) {
	s := newIssuer(t)
	for _, c := range []struct {
		claim string
		set   map[string]any
		want  string
	}{
		{"", map[string]any{"email": "Alice@EXAMPLE.test"}, "alice@example.test"},
		{"", map[string]any{"email_verified": "true"}, "alice@example.test"},
		{"", map[string]any{"email_verified": false}, ""}, {"", map[string]any{"email_verified": nil}, ""}, {"", map[string]any{"email_verified": 1}, ""},
		{"", map[string]any{"email": nil}, ""}, {"", map[string]any{"email": []string{"alice@example.test"}}, ""}, {"", map[string]any{"email": 1}, ""},
		{"", map[string]any{"email": "alice+admin@example.test"}, ""}, {"", map[string]any{"email": "alice\x00@example.test"}, ""},
		{"", map[string]any{"email": strings.Repeat("a", 600)}, ""},
		{"preferred_username", nil, "alice"}, {"preferred_username", map[string]any{"preferred_username": "alice+x"}, ""},
		{"sub", nil, "4711"}, {"upn", nil, ""}, {"upn", map[string]any{"upn": "al@example.test"}, "al@example.test"},
	} {
		r := s.rules()
		r.Claim = c.claim
		got, err := show(t, s.jwt(t, JWT{}, r), s.token(c.set))
		require.Equal(t, c.want, got, "%+v", c)
		if c.want == "" {
			require.ErrorIs(t, err, auth.ErrBadCredentials, "%+v", c)
		}
	}
}

func TestTheUserWhoIsNamedMustBeTheTokens(t *testing.T) {
	s := newIssuer(t)
	bare := s.jwt(t, JWT{}, s.rules())
	r := s.rules()
	r.Accounts, r.Claim = house(), "preferred_username"
	known := s.jwt(t, JWT{}, r)
	for user, want := range map[string][2]bool{
		"": {true, true}, "alice@example.test": {true, true}, "ALICE@example.test": {true, true}, "alice+tag@example.test": {true, true},
		"alice": {false, true}, "bob": {false, false}, "mallory@example.test": {false, false},
	} {
		for i, a := range []*Authenticator{bare, known} {
			got, err := show(t, a, s.token(), user)
			require.Equal(t, want[i], err == nil && got == "alice@example.test", "%q: %q %v", user, got, err)
			require.True(t, err == nil || errors.Is(err, auth.ErrBadCredentials))
		}
	}
	_, err := show(t, known, s.token(map[string]any{"preferred_username": "mallory"}))
	require.ErrorIs(t, err, auth.ErrBadCredentials)
	_, err = show(t, known, s.token(map[string]any{"preferred_username": "carol"}))
	require.ErrorIs(t, err, auth.ErrDisabled)
	_, err = show(t, known, s.token(map[string]any{"preferred_username": "carol", "aud": "web"}))
	require.ErrorIs(t, err, auth.ErrBadCredentials, "only who has proved to be her learns that she is disabled")
	name, err := known.AccountName(t.Context(), "Alice")
	require.NoError(t, err)
	require.Equal(t, "alice@example.test", name)
	_, err = known.AccountName(t.Context(), "mallory")
	require.Error(t, err)
}

func TestAPasswordOrAnotherProofIsNotAToken(t *testing.T) {
	s := newIssuer(t)
	a := s.jwt(t, JWT{}, s.rules())
	for _, c := range []auth.Credentials{
		{User: "alice@example.test", Password: s.token()}, {Proof: auth.Ticket{Name: "alice"}}, {Proof: &auth.Certificate{}}, {Proof: &auth.Response{}}, {},
	} {
		_, err := a.Authenticate(t.Context(), c)
		require.ErrorIs(t, err, auth.ErrBadCredentials)
	}
	require.Equal(t, auth.Tokens, auth.ProofsOf(a))
	require.Empty(t, auth.Mechanisms(a, auth.Policy{Secure: []string{"PLAIN"}}, auth.Credentials{Secure: true}))
}

func TestAnIssuerThatCannotBeBelievedIsUnavailable(t *testing.T) {
	s, other := newIssuer(t), newIssuer(t)
	huge := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"keys":[` + strings.Repeat(" ", 1<<20) + `]}`))
	}
	for what, change := range map[string]func(){
		"another issuer": func() { s.about["issuer"] = other.URL }, "no keys' URL": func() { delete(s.about, "jwks_uri") },
		"keys without TLS": func() { s.about["jwks_uri"] = "http://192.0.2.1/keys" }, "a file": func() { s.about["jwks_uri"] = "file:///etc/passwd" },
		"keys that are none": func() { s.keys = "none" }, "no keys": func() { s.keys = jose.JSONWebKeySet{} }, "unknown keys": func() { s.keys = map[string]any{"keys": []any{map[string]any{"kty": "XYZ"}, 1, nil}} },
		"too many keys": func() { s.keys = map[string]any{"keys": make([]int, 101)} }, "endless keys": func() { s.handle["/keys"] = huge },
		"keys elsewhere": func() { s.handle["/keys"] = http.RedirectHandler(other.URL+"/keys", http.StatusFound).ServeHTTP },
		"a circle":       func() { s.handle["/keys"] = http.RedirectHandler(s.URL+"/keys", http.StatusFound).ServeHTTP },
		"nothing there":  func() { s.handle["/keys"] = http.NotFound }, "down": func() { s.down.Store(true) },
		"status 204": func() {
			s.handle["/keys"] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
		},
	} {
		s.set(func() {
			s.handle, s.about = map[string]http.HandlerFunc{}, map[string]any{"issuer": s.URL, "jwks_uri": s.URL + "/keys"}
			s.keys = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: rsaKey().Public(), KeyID: "one"}}}
			change()
		})
		_, err := show(t, s.jwt(t, JWT{}, s.rules()), s.token())
		require.ErrorIs(t, err, auth.ErrUnavailable, what)
		require.NotErrorIs(t, err, auth.ErrBadCredentials, what)
		s.down.Store(false)
	}
	require.Zero(t, other.fetched.Load())
	s.set(func() {
		s.about["jwks_uri"] = s.URL + "/keys"
		s.keys = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: rsaKey().Public(), KeyID: "one"}}}
		s.about["issuer"] = s.URL
		s.handle = map[string]http.HandlerFunc{"/keys": http.RedirectHandler(s.URL+"/moved", http.StatusFound).ServeHTTP, "/moved": func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(s.keys)
		}}
	})
	_, err := show(t, s.jwt(t, JWT{}, s.rules()), s.token())
	require.NoError(t, err, "keys may move on their host")
}

func TestADirectoryThatIsDownIsNotABadToken(t *testing.T) {
	s := newIssuer(t)
	r := s.rules()
	r.Accounts = broken{}
	_, err := show(t, s.jwt(t, JWT{}, r), s.token())
	require.ErrorIs(t, err, auth.ErrUnavailable)
	require.NotErrorIs(t, err, auth.ErrBadCredentials)
}

func TestAConfigurationThatWouldBelieveTooMuchIsRefused(t *testing.T) {
	good := Rules{Issuer: "https://id.example.test", Audiences: []string{"mail"}}
	with := func(change func(r *Rules)) Rules { r := good; change(&r); return r }
	for what, r := range map[string]Rules{
		"no issuer": with(func(r *Rules) { r.Issuer = "" }), "no TLS": with(func(r *Rules) { r.Issuer = "http://id.example.test" }),
		"a query": with(func(r *Rules) { r.Issuer += "?x" }), "a user": with(func(r *Rules) { r.Issuer = "https://me:secret@id.example.test" }),
		"no audience": with(func(r *Rules) { r.Audiences = nil }), "an empty one": with(func(r *Rules) { r.Audiences = []string{""} }),
		"two scopes in one": with(func(r *Rules) { r.Scopes = []string{"a b"} }), "leeway": with(func(r *Rules) { r.Leeway = -1 }),
	} {
		_, err := NewJWT(JWT{}, r)
		require.ErrorIs(t, err, ErrConfig, what)
	}
	_, err := NewJWT(JWT{KeysURL: "http://192.0.2.1/"}, good)
	require.ErrorIs(t, err, ErrConfig)
	a, err := NewJWT(JWT{}, with(func(r *Rules) { r.Scopes = []string{"imap", "smtp"}; r.Issuer += "/" }))
	require.NoError(t, err)
	scope, at := a.TokenHint()
	require.Equal(t, "imap smtp https://id.example.test/.well-known/openid-configuration", scope+" "+at)
	_, err = NewIntrospection(Introspection{URL: "https://id.example.test/i", ClientID: "x"}, Rules{})
	require.ErrorIs(t, err, ErrConfig)
	_, err = NewIntrospection(Introspection{URL: "http://id.example.test/i", ClientID: "x"}, good)
	require.ErrorIs(t, err, ErrConfig)
	_, err = NewIntrospection(Introspection{URL: "https://id.example.test/i"}, good)
	require.ErrorIs(t, err, ErrConfig)
}

var _ directory.Accounts = broken{}
