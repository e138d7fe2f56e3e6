package auth

import (
	"context"
	"crypto/tls"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/testcert"
)

// Vault and Delegating are shown to the tests that stand outside.
type (
	Vault      = vault
	Delegating = delegating
)

// Handshake is shown to them too.
var Handshake = handshake

// vault keeps secrets of one user under several schemes, and checks all kinds
// of proofs against them.
type vault struct {
	User     string
	Secrets  map[string]Secret
	Kinds    Kinds
	Delegate map[string]string // who may act for whom
	Disabled bool
	Err      error
	Asked    *int
}

func (v vault) Proofs() Kinds { return v.Kinds }

func (v vault) Secret(_ context.Context, user, scheme string) (Secret, error) {
	if v.Err != nil {
		return Secret{}, v.Err
	}
	for _, s := range []string{scheme, "PLAIN"} {
		if secret, ok := v.Secrets[s]; ok && NormalName(user) == v.User {
			return secret, nil
		}
	}
	return Secret{}, ErrBadCredentials
}

func (v vault) Authenticate(ctx context.Context, c Credentials) (Identity, error) {
	if v.Asked != nil {
		*v.Asked++
	}
	id := Identity{User: v.User}
	switch p := c.Proof.(type) {
	case nil:
		if s := v.Secrets["PLAIN"]; NormalName(c.User) != v.User || c.Password == "" || string(s.Value) != c.Password {
			return Identity{}, ErrBadCredentials
		}
	case *Response:
		secret, err := v.Secret(ctx, c.User, p.Scheme)
		if err != nil {
			return Identity{}, err
		}
		if !p.Check(secret) {
			return Identity{}, ErrBadCredentials
		}
	case Token:
		if p != "good.token" || c.User != "" && NormalName(c.User) != v.User {
			return Identity{}, ErrBadCredentials
		}
	case *Certificate:
		if len(p.Chain) == 0 || p.Chain[0].Subject.CommonName != v.User {
			return Identity{}, ErrBadCredentials
		}
	default:
		return Identity{}, ErrBadCredentials
	}
	if c.AuthzID != "" && NormalName(c.AuthzID) != v.User {
		return Identity{}, ErrBadCredentials
	}
	if v.Disabled {
		return Identity{}, ErrDisabled
	}
	return id, v.Err
}

// delegating is a vault that lets some act for others.
type delegating struct{ Vault }

func (d delegating) ActFor(_ context.Context, id Identity, authzID string) (Identity, error) {
	if d.Delegate[id.User] != NormalName(authzID) {
		return Identity{}, ErrBadCredentials
	}
	return Identity{User: NormalName(authzID)}, nil
}

// handshake returns the two ends of a TLS connection.
func handshake(t testing.TB, version uint16) (server, client *tls.ConnectionState) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	mine, his := testcert.Server(), testcert.Client()
	mine.MaxVersion, his.MinVersion, mine.MinVersion = version, tls.VersionTLS12, tls.VersionTLS12
	s, c := tls.Server(a, mine), tls.Client(b, his)
	failed := make(chan error, 1)
	go func() { failed <- s.Handshake() }()
	require.NoError(t, c.Handshake())
	require.NoError(t, <-failed)
	ss, cs := s.ConnectionState(), c.ConnectionState()
	return &ss, &cs
}
