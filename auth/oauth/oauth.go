// Package oauth authenticates with bearer tokens of an OAuth 2.0 authorization
// server (RFC 6749, RFC 6750), as the mechanisms OAUTHBEARER (RFC 7628) and
// XOAUTH2 carry them. A token is either a JWT that is verified here by the
// issuer's keys (NewJWT), or any text that the issuer is asked about
// (NewIntrospection).
//
// Invariants of this package:
//
//   - A token that proves nothing is auth.ErrBadCredentials; an issuer that
//     can't be asked, or that does not know us, is auth.ErrUnavailable.
//   - Who signs is decided by a list of algorithms with public keys and by the
//     issuer's keys, never by the token: its kid is only ever compared, and
//     keys or URLs in it are not looked at (RFC 8725).
//   - A token was made for us: for our audience, with our scopes, and not bound
//     to a key that the client would have to show.
//   - Tokens and secrets are in no log, no error and no String method.
package oauth

import (
	"context"
	"log/slog"
	"net/url"
	"strings"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/internal/account"
)

// maxToken bounds a token, in octets: as much as a SASL response has.
const maxToken = 12 << 10

// Authenticator checks tokens and nothing else: a password, or another kind of
// auth.Proof, is auth.ErrBadCredentials. It has the powers auth.Prover,
// auth.Namer and auth.TokenHinter, and is safe for concurrent use.
type Authenticator struct {
	source   source
	rules    Rules
	accounts account.Resolver
	http     *client
}

// source tells whose a token is.
type source interface {
	// login returns the name of its user as the token has it.
	// auth.ErrBadCredentials, auth.ErrUnavailable.
	login(ctx context.Context, token string) (string, error)
}

var (
	_ auth.Authenticator = (*Authenticator)(nil)
	_ auth.Prover        = (*Authenticator)(nil)
	_ auth.Namer         = (*Authenticator)(nil)
	_ auth.TokenHinter   = (*Authenticator)(nil)
)

// Authenticate checks a token. The user and the authorization identity that
// the client named, if any, must be the account that the token names.
func (a *Authenticator) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
	token, ok := c.Proof.(auth.Token)
	if !ok {
		return auth.Identity{}, bad("not a token")
	}
	if !isToken(string(token)) {
		return auth.Identity{}, bad("malformed token")
	}
	login, err := a.source.login(ctx, string(token))
	if err != nil {
		return auth.Identity{}, err
	}
	of, err := a.accounts.Find(ctx, login)
	if err != nil {
		return auth.Identity{}, err
	}
	return a.accounts.Admit(ctx, of, c.User, c.AuthzID)
}

// Proofs says that tokens are checked.
func (a *Authenticator) Proofs() auth.Kinds { return auth.Tokens }

// AccountName returns the account that a login means.
func (a *Authenticator) AccountName(ctx context.Context, login string) (string, error) {
	return a.accounts.Name(ctx, login)
}

// TokenHint returns the scopes that are needed, and where the issuer, when it
// is known, describes itself.
func (a *Authenticator) TokenHint() (scope, configURL string) {
	if a.rules.Issuer != "" {
		configURL = discoveryURL(a.rules.Issuer)
	}
	return strings.Join(a.rules.Scopes, " "), configURL
}

// Close closes idle connections to the issuer. The Authenticator can be used
// on, and what it waits for ends within its timeout.
func (a *Authenticator) Close() error {
	a.http.close()
	return nil
}

// String keeps the client's secret out of logs.
func (a *Authenticator) String() string { return "tokens of " + a.rules.Issuer }

// GoString is String, for the verb %#v.
func (a *Authenticator) GoString() string { return a.String() }

// LogValue keeps the client's secret out of structured logs.
func (a *Authenticator) LogValue() slog.Value { return slog.StringValue(a.String()) }

// isToken reports whether a text has the form of a bearer token, b64token of
// RFC 6750 §2.1, and is not too long.
func isToken(s string) bool {
	if len(s) > maxToken {
		return false
	}
	body := strings.TrimRight(s, "=")
	for i := range len(body) {
		c := body[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~+/", c) >= 0:
		default:
			return false
		}
	}
	return body != ""
}

// discoveryURL is where an issuer describes itself (OpenID Connect Discovery §4).
func discoveryURL(issuer string) string {
	return strings.TrimRight(issuer, "/") + "/.well-known/openid-configuration"
}

// checkIssuer returns what is wrong with an issuer (RFC 8414 §2): ErrConfig.
func checkIssuer(issuer string) error {
	u, err := checkURL(issuer)
	if err != nil {
		return err
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return configError("an issuer has no query and no fragment")
	}
	return nil
}

// checkURL reads a URL that may be asked: over TLS, or on this host.
func checkURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.User != nil:
		return nil, configError("a URL is needed, without a user: %.200q", text)
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return u, nil
	}
	return nil, configError("only https is safe, or http on this host: %.200q", text)
}
