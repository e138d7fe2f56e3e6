package authtest

import (
	"context"
	"crypto/tls"
	"net"
	"strings"

	"github.com/posthouse-mail/posthouse/auth"
)

// Account is an Authenticator that knows one account by everything: what
// stands above an Authenticator is tested with it.
type Account struct {
	User     string
	Password string
	Token    string // a bearer token that is good for the user; empty: none is
}

// Proofs tells that passwords and responses of every scheme can be checked,
// and tokens.
func (a Account) Proofs() auth.Kinds {
	kinds := auth.Passwords | auth.ClearSecrets
	if a.Token != "" {
		kinds |= auth.Tokens
	}
	return kinds
}

// Secret returns the password.
func (a Account) Secret(_ context.Context, user, _ string) (auth.Secret, error) {
	if !strings.EqualFold(user, a.User) {
		return auth.Secret{}, auth.ErrBadCredentials
	}
	return auth.Secret{Scheme: "PLAIN", Value: []byte(a.Password)}, nil
}

// Authenticate checks what was shown.
func (a Account) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
	ok := strings.EqualFold(c.User, a.User) && (c.AuthzID == "" || strings.EqualFold(c.AuthzID, a.User))
	switch p := c.Proof.(type) {
	case nil:
		ok = ok && c.Password != "" && c.Password == a.Password
	case *auth.Response:
		secret, err := a.Secret(ctx, c.User, p.Scheme)
		ok = ok && err == nil && p.Check(secret)
	case auth.Token:
		ok = p != "" && string(p) == a.Token && (ok || c.User == "" && c.AuthzID == "")
	default:
		ok = false
	}
	if !ok {
		return auth.Identity{}, auth.ErrBadCredentials
	}
	return auth.Identity{User: a.User}, nil
}

// Answers returns the client's side of a dialogue (a dialogue.Answer): a SCRAM
// client that begins anew where the server has asked for nothing yet. It binds
// to the TLS connection when the mechanism's name ends with -PLUS.
func Answers(mechanism, user, password string) func(conn net.Conn, challenge []byte) ([]byte, error) {
	var client *SCRAM
	return func(conn net.Conn, challenge []byte) ([]byte, error) {
		if len(challenge) > 0 {
			return client.Next(challenge)
		}
		client = &SCRAM{Mechanism: mechanism, User: user, Password: password}
		if layer, ok := conn.(*tls.Conn); ok && strings.HasSuffix(mechanism, "-PLUS") {
			state := layer.ConnectionState()
			data, err := state.ExportKeyingMaterial("EXPORTER-Channel-Binding", []byte{}, 32)
			if err != nil {
				return nil, err
			}
			client.Flag, client.Binding = "p=tls-exporter", data
		}
		_, response, err := client.Start()
		return response, err
	}
}
