package auth

import (
	"context"
	"crypto/x509"
	"log/slog"
)

// Proof is what a client shows when it does not show its password. A
// mechanism hands it to the Authenticator in Credentials, so that one place
// counts failures, knows who is disabled, and decides. The kinds are
// *Response, Token, *Certificate and Ticket.
type Proof interface{ proof() }

// Response is the answer to a challenge: SCRAM, CRAM-MD5, DIGEST-MD5. The
// Authenticator finds the secret of Credentials.User and calls Check.
type Response struct {
	Scheme string            // of the secret that Check takes: "SCRAM-SHA-256", "SCRAM-SHA-1" or "PLAIN"
	Check  func(Secret) bool // whether the answer fits, in constant time
}

// Token is a bearer token (OAUTHBEARER, RFC 7628; XOAUTH2). Credentials.User
// is the user that the client named with it, perhaps nobody.
type Token string

// Certificate is what a client proved in its TLS handshake to have the key of
// (EXTERNAL, RFC 4422 appendix A). Its chain was verified against the
// authorities that the server's tls.Config names.
type Certificate struct {
	Chain []*x509.Certificate // the client's own first
}

// Ticket is a Kerberos principal whose ticket was verified (GSSAPI, RFC 4752).
type Ticket struct {
	Name  string // "alice", "imap/host"
	Realm string // "EXAMPLE.TEST"
}

func (*Response) proof()    {}
func (Token) proof()        {}
func (*Certificate) proof() {}
func (Ticket) proof()       {}

// String keeps tokens out of logs.
func (Token) String() string { return "token" }

// GoString is String, for the verb %#v.
func (t Token) GoString() string { return t.String() }

// LogValue keeps tokens out of structured logs.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// Kinds is a set of what an Authenticator can check.
type Kinds uint

// What clients can show. Who has passwords in clear text can check Responses
// of every scheme.
const (
	Passwords        Kinds = 1 << iota
	ClearSecrets           // Response with a secret of scheme PLAIN
	SCRAMSHA1Secrets       // Response with a secret of scheme SCRAM-SHA-1, and so on
	SCRAMSHA256Secrets
	Tokens
	Certificates
	Tickets
)

// KindOfSecret returns the kind of a Secret by its scheme; none when nobody
// knows the scheme.
func KindOfSecret(scheme string) Kinds {
	switch scheme {
	case schemePlain:
		return ClearSecrets
	case "SCRAM-SHA-1":
		return SCRAMSHA1Secrets
	case "SCRAM-SHA-256":
		return SCRAMSHA256Secrets
	}
	return 0
}

// kindsOfScheme returns the kinds of secrets by which a Response of a scheme can
// be checked: its own, and clear text, from which it can be made.
func kindsOfScheme(scheme string) Kinds {
	kind := KindOfSecret(scheme)
	if kind != 0 {
		kind |= ClearSecrets
	}
	return kind
}

// Prover is an optional power of an Authenticator: it tells what can be
// checked. Without it that is Passwords alone.
type Prover interface {
	Proofs() Kinds
}

// ProofsOf returns what an Authenticator can check; nothing when it is nil.
func ProofsOf(a Authenticator) Kinds {
	if a == nil {
		return 0
	}
	if p, ok := As[Prover](a); ok {
		return p.Proofs()
	}
	return Passwords
}

// SecretSource is an optional power of an Authenticator that keeps what
// challenge-response mechanisms need. SCRAM asks it for a user's salt before
// there is a Response to check; the decision is the Authenticator's.
type SecretSource interface {
	// Secret returns a user's secret of a scheme, or the one of scheme PLAIN
	// from which it can be made. ErrBadCredentials when there is neither,
	// which a mechanism must not let the client see; ErrUnavailable.
	Secret(ctx context.Context, user, scheme string) (Secret, error)
}

// Secret is a stored secret of a user. Of scheme PLAIN the value is the
// password; of SCRAM-SHA-1 and SCRAM-SHA-256 it is what RFC 5803 calls
// authPassword: "iterations:salt$StoredKey:ServerKey", the last three in base64.
type Secret struct {
	Scheme string
	Value  []byte
}

// Delegator is an optional power of an Authenticator: it lets some act for
// others. Without it nobody does.
type Delegator interface {
	// ActFor returns who id is when he asks to be authzID. ErrBadCredentials
	// when he has no such right, or when there is no such user; ErrUnavailable.
	ActFor(ctx context.Context, id Identity, authzID string) (Identity, error)
}

// TokenHinter is an optional power of an Authenticator that takes Tokens: it
// tells what a client needs to get a better one. OAUTHBEARER shows it with a
// failure (RFC 7628 §3.2.2), so that there is nothing secret in it.
type TokenHinter interface {
	// TokenHint returns the scopes that a token must have, with spaces
	// between them, and the URL of the issuer's configuration (RFC 8414,
	// OpenID Connect Discovery). What is not known is empty.
	TokenHint() (scope, configURL string)
}
