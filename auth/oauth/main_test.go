package oauth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/directory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rsaKey is made once: it is slow.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// issuer is an authorization server on loopback.
type issuer struct {
	*httptest.Server
	down    atomic.Bool  // every answer is status 500
	fetched atomic.Int32 // key sets
	asked   atomic.Int32 // introspections

	mu     sync.Mutex
	keys   any                 // what the key set answers
	about  map[string]any      // what discovery answers
	answer func(form form) any // of introspection
	handle map[string]http.HandlerFunc
}

// form is what introspection was asked.
type form struct{ token, hint, user, password string }

func newIssuer(t testing.TB) *issuer {
	s := &issuer{handle: map[string]http.HandlerFunc{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	s.keys = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: rsaKey().Public(), KeyID: "one", Use: "sig"}}}
	s.about = map[string]any{"issuer": s.URL, "jwks_uri": s.URL + "/keys"}
	return s
}

func (s *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	special := s.handle[r.URL.Path]
	switch {
	case s.down.Load():
		http.Error(w, "out of order", http.StatusInternalServerError)
	case special != nil:
		special(w, r)
	case r.URL.Path == "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(s.about)
	case r.URL.Path == "/keys":
		s.fetched.Add(1)
		_ = json.NewEncoder(w).Encode(s.keys)
	case r.URL.Path == "/introspect" && r.Method == http.MethodPost:
		s.asked.Add(1)
		f := form{token: r.PostFormValue("token"), hint: r.PostFormValue("token_type_hint")}
		f.user, f.password, _ = r.BasicAuth()
		_ = json.NewEncoder(w).Encode(s.answer(f))
	default:
		http.NotFound(w, r)
	}
}

// set changes what the issuer says.
func (s *issuer) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// rules are those of the tests.
func (s *issuer) rules() Rules {
	return Rules{Issuer: s.URL, Audiences: []string{"mail"}, Scopes: []string{"imap"}}
}

// claims are those of a good token of alice.
func (s *issuer) claims(change ...map[string]any) map[string]any {
	c := map[string]any{
		"iss": s.URL, "aud": []string{"web", "mail"}, "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(),
		"scope": "openid imap", "email": "alice@example.test", "email_verified": true, "sub": "4711", "preferred_username": "alice",
	}
	for _, some := range change {
		for name, value := range some {
			if c[name] = value; value == nil {
				delete(c, name)
			}
		}
	}
	return c
}

// token signs claims with the issuer's key.
func (s *issuer) token(change ...map[string]any) string {
	return sign(jose.RS256, rsaKey(), map[string]any{"kid": "one"}, s.claims(change...))
}

// sign makes a JWT.
func sign(alg jose.SignatureAlgorithm, key any, header map[string]any, claims any) string {
	o := &jose.SignerOptions{}
	for name, value := range header {
		o.WithHeader(jose.HeaderKey(name), value)
	}
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, o))
	return must(must(signer.Sign(must(json.Marshal(claims)))).CompactSerialize())
}

// jwt returns an Authenticator for the issuer's JWTs.
func (s *issuer) jwt(t testing.TB, j JWT, r Rules) *Authenticator {
	a, err := NewJWT(j, r)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.Close()) })
	return a
}

// introspection returns an Authenticator that asks the issuer.
func (s *issuer) introspection(t testing.TB, i Introspection, r Rules) *Authenticator {
	if i.URL == "" {
		i.URL = s.URL + "/introspect"
	}
	i.ClientID, i.ClientSecret = "mail server", "s3cret&more"
	a, err := NewIntrospection(i, r)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.Close()) })
	return a
}

// show authenticates with a token, for a user if one is named.
func show(t testing.TB, a *Authenticator, token string, user ...string) (string, error) {
	id, err := a.Authenticate(t.Context(), auth.Credentials{Service: "imap", Secure: true, Proof: auth.Token(token), User: strings.Join(user, "")})
	if err != nil {
		require.Equal(t, auth.Identity{}, id)
		if len(token) > 8 {
			require.NotContains(t, err.Error(), token)
		}
	}
	return id.User, err
}

// accounts is a directory in memory.
type accounts map[string]directory.Account

func (a accounts) Account(_ context.Context, login string) (directory.Account, error) {
	if one, ok := a[auth.NormalName(login)]; ok {
		return one, nil
	}
	return directory.Account{}, directory.ErrUnknown
}

// house knows alice, bob, and carol who is disabled.
func house() accounts {
	a := accounts{}
	for _, name := range []string{"alice", "bob", "carol"} {
		one := directory.Account{Name: name + "@example.test", Disabled: name == "carol"}
		a[name], a[one.Name] = one, one
	}
	return a
}

func ecKey(c elliptic.Curve) *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(c, rand.Reader)) }

func edKey() ed25519.PrivateKey {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return must(private, err)
}
