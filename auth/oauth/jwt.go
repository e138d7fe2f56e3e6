package oauth

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/posthouse-mail/posthouse/auth/internal/account"
)

// JWT says how tokens that are JWTs are verified. A zero field means what its
// comment says.
type JWT struct {
	// KeysURL is where the issuer's keys are, as a JWK set (RFC 7517 §5);
	// empty: where the issuer says (OpenID Connect Discovery, RFC 8414).
	KeysURL string
	// Algorithms are those that are taken; empty: RS256, RS384, RS512, PS256,
	// PS384, PS512, ES256, ES384, ES512 and EdDSA, and there are no others.
	Algorithms []string
	// AccessType refuses tokens whose header does not say that they are access
	// tokens, typ "at+jwt" (RFC 9068 §2.1). Not every issuer writes it. Tokens
	// of any other type but "JWT" are refused in any case.
	AccessType bool

	Refresh   time.Duration     // when keys are fetched anew; 0: one hour, and so long a key is good that the issuer has withdrawn
	Stale     time.Duration     // how old keys may get while the issuer does not answer; 0: 24 hours
	Timeout   time.Duration     // of a request; 0: 4 seconds
	Transport http.RoundTripper // nil: TLS with the system's roots, by the environment's proxy
}

// algorithms are those with a public key.
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{
		jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
	}
}

// jwt verifies tokens.
type jwt struct {
	JWT
	rules *Rules
	allow []jose.SignatureAlgorithm
	http  *client
	keys  *keyCache
}

// NewJWT returns an Authenticator for tokens that are JWTs (RFC 7519, RFC
// 9068). It asks for nothing before the first token comes. A token with a kid
// that is not among the issuer's keys makes them be fetched, once a minute at
// most. ErrConfig.
func NewJWT(j JWT, r Rules) (*Authenticator, error) {
	r = r.withDefaults()
	if err := errors.Join(checkIssuer(r.Issuer), r.checkConfig()); err != nil {
		return nil, err
	}
	if len(r.Audiences) == 0 {
		return nil, configError("no audience")
	}
	if j.KeysURL != "" {
		if _, err := checkURL(j.KeysURL); err != nil {
			return nil, err
		}
	}
	j.Refresh, j.Stale = orDefault(j.Refresh, time.Hour), orDefault(j.Stale, 24*time.Hour)
	allow, err := allowed(j.Algorithms)
	if err != nil {
		return nil, err
	}
	a := &Authenticator{rules: r, accounts: account.Resolver{Accounts: r.Accounts}, http: newClient(j.Transport, j.Timeout)}
	v := &jwt{JWT: j, rules: &a.rules, allow: allow, http: a.http}
	v.keys = &keyCache{fetch: v.fetch, refresh: j.Refresh, stale: max(j.Stale, j.Refresh)}
	a.source = v
	return a, nil
}

// allowed returns the algorithms of these names.
func allowed(names []string) ([]jose.SignatureAlgorithm, error) {
	if len(names) == 0 {
		return algorithms(), nil
	}
	var allow []jose.SignatureAlgorithm
	for _, name := range names {
		n := len(allow)
		for _, alg := range algorithms() {
			if string(alg) == name {
				allow = append(allow, alg)
			}
		}
		if len(allow) == n {
			return nil, configError("an algorithm is unknown or has no public key: %.40q", name)
		}
	}
	return allow, nil
}

// fetch asks the issuer for its keys.
func (v *jwt) fetch(ctx context.Context) (keySet, error) {
	from := v.KeysURL
	if from == "" {
		text, err := v.http.get(ctx, discoveryURL(v.rules.Issuer))
		if err != nil {
			return nil, err
		}
		about, err := parseClaims(text)
		switch {
		case err != nil:
			return nil, err
		case about.text("issuer") != v.rules.Issuer: // OpenID Connect Discovery §4.3
			return nil, errors.New("it says that it is another issuer")
		case about.text("jwks_uri") == "":
			return nil, errors.New("it does not say where its keys are")
		}
		from = about.text("jwks_uri")
	}
	text, err := v.http.get(ctx, from)
	if err != nil {
		return nil, err
	}
	return parseKeys(text)
}

// login verifies a token and returns whose it is.
func (v *jwt) login(ctx context.Context, token string) (string, error) {
	sig, err := v.parse(token)
	if err != nil {
		return "", err
	}
	set, err := v.keys.current(ctx)
	if err != nil {
		return "", err
	}
	payload, known := set.verify(sig)
	if payload == nil && !known {
		if set, err = v.keys.renewed(ctx); err != nil {
			return "", err
		}
		payload, _ = set.verify(sig)
	}
	if payload == nil {
		return "", bad("its signature is none of the issuer")
	}
	return v.subject(payload, time.Now())
}

// parse reads a token that is signed with one of the algorithms, and believes
// nothing of it yet.
func (v *jwt) parse(token string) (*jose.JSONWebSignature, error) {
	sig, err := jose.ParseSignedCompact(token, v.allow)
	if err != nil || len(sig.Signatures) != 1 {
		return nil, bad("not a JWT, or signed with another algorithm") // the error may hold parts of it
	}
	header := sig.Signatures[0].Protected
	if _, critical := header.ExtraHeaders["crit"]; critical { // RFC 7515 §4.1.11: none is understood here
		return nil, bad("it has critical headers")
	}
	kind, there := header.ExtraHeaders[jose.HeaderType]
	name, _ := kind.(string)
	name = strings.TrimPrefix(strings.ToLower(name), "application/")
	switch {
	case name == "at+jwt":
	case v.AccessType, there && name != "jwt": // RFC 8725 §3.11
		return nil, bad("not an access token")
	}
	return sig, nil
}

// subject returns whose a token with this verified payload is.
func (v *jwt) subject(payload []byte, now time.Time) (string, error) {
	c, err := parseClaims(payload)
	if err != nil {
		return "", bad("its claims are malformed")
	}
	if err := v.rules.check(c, now, "iss", "aud", "exp"); err != nil {
		return "", err
	}
	return v.rules.name(c)
}
