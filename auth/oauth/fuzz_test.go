package oauth

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/posthouse-mail/posthouse/auth"
)

// FuzzToken proves that no text but a signed one is believed, and that each
// gets a verdict.
func FuzzToken(f *testing.F) {
	s := newIssuer(f)
	good := s.token()
	for _, seed := range []string{good, good + "=", good[:40], "a.b.c", "..", "e30.e30.e30", "eyJhbGciOiJub25lIn0.e30."} {
		f.Add(seed)
	}
	a := s.jwt(f, JWT{}, s.rules())
	v := a.source.(*jwt)
	set := keySet{"one": {{public: rsaKey().Public()}}}
	v.keys.set, v.keys.good, v.keys.tried = set, time.Now(), time.Now() // nobody is asked
	f.Fuzz(func(t *testing.T, token string) {
		id, err := a.Authenticate(t.Context(), auth.Credentials{Proof: auth.Token(token)})
		switch {
		case err == nil && id.User != "alice@example.test":
			t.Errorf("it is %v's", id)
		case err != nil && (!errors.Is(err, auth.ErrBadCredentials) || id != (auth.Identity{})):
			t.Errorf("got %v, %v", id, err)
		}
	})
}

// FuzzIntrospectionAnswer proves that every answer is a name, a refusal or an
// outage, and that who is named was said to be active.
func FuzzIntrospectionAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"active":true,"aud":"mail","scope":"imap","email":"alice@example.test","email_verified":true}`, `{"active":false}`, `{"active":1}`, `[]`, ``,
		`{"active":true,"active":false}`, `{"active":true,"exp":1e99}`, `{"active":true,"aud":["mail",1],"scope":["imap"],"email":"\u0000","email_verified":"true"}`,
	} {
		f.Add([]byte(seed))
	}
	r := Rules{Audiences: []string{"mail"}, Scopes: []string{"imap"}}.withDefaults()
	i := &introspection{rules: &r}
	f.Fuzz(func(t *testing.T, text []byte) {
		name, _, err := i.subject(text, time.Now())
		if (err == nil) != (name != "") {
			t.Errorf("got %q, %v", name, err)
		}
		var said map[string]any
		if err == nil && (json.Unmarshal(text, &said) != nil || said["active"] != true) {
			t.Errorf("%q names %q", text, name)
		}
		if err != nil && !errors.Is(err, auth.ErrBadCredentials) && !errors.Is(err, auth.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
	})
}

// FuzzKeys proves that whatever an issuer calls its keys makes no server fall.
func FuzzKeys(f *testing.F) {
	f.Add(must(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: rsaKey().Public(), KeyID: "one"}, {Key: edKey().Public(), KeyID: "two"}}})))
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"},{"kty":"oct","k":"AA"},{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`))
	s := newIssuer(f)
	v := s.jwt(f, JWT{}, s.rules()).source.(*jwt)
	var sigs []*jose.JSONWebSignature
	for _, token := range []string{s.token(), sign(jose.EdDSA, edKey(), nil, s.claims())} {
		sig, err := v.parse(token)
		if err != nil {
			f.Fatal(err)
		}
		sigs = append(sigs, sig)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		set, err := parseKeys(text)
		if err == nil {
			for _, sig := range sigs {
				set.verify(sig)
			}
		}
	})
}
