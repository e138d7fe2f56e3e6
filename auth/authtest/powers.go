package authtest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/posthouse-mail/posthouse/auth"
)

func (s suite) accountName(t *testing.T) {
	n, ok := auth.As[auth.Namer](s.Auth)
	if !ok {
		t.Skip("it is no Namer")
	}
	for range 2 {
		// A wrapper may find that nobody below it tells names.
		if name, err := n.AccountName(t.Context(), s.User); err == nil && name != s.Identity {
			t.Errorf("the account's name is %q, %v; want %q, or an error", name, err, s.Identity)
		}
	}
	for _, login := range []string{s.Unknown, "", "\x00", strings.Repeat("x", 64<<10)} {
		if name, err := n.AccountName(t.Context(), login); err == nil {
			t.Errorf("user %.40q has the account %q; want an error", login, name)
		}
	}
}

func (s suite) secrets(t *testing.T) {
	source, ok := auth.As[auth.SecretSource](s.Auth)
	if !ok {
		t.Skip("it is no SecretSource")
	}
	for _, scheme := range []string{"PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"} {
		secret, err := source.Secret(t.Context(), s.User, scheme)
		switch {
		case err == nil && secret.Scheme != scheme && secret.Scheme != "PLAIN":
			t.Errorf("a secret of scheme %s was asked for, and is of %s", scheme, secret.Scheme)
		case err == nil && len(secret.Value) == 0:
			t.Errorf("the secret of scheme %s is empty", scheme)
		case err != nil && !errors.Is(err, auth.ErrBadCredentials):
			t.Errorf("the secret of scheme %s is %v; want one, or ErrBadCredentials", scheme, err)
		}
		for _, user := range []string{s.Unknown, "", "\x00", strings.Repeat("x", 64<<10)} {
			if secret, err := source.Secret(t.Context(), user, scheme); !errors.Is(err, auth.ErrBadCredentials) || secret.Value != nil {
				t.Errorf("user %.40q: the secret is %v, %v; want ErrBadCredentials", user, secret, err)
			}
		}
	}
	const kinds = auth.ClearSecrets | auth.SCRAMSHA1Secrets | auth.SCRAMSHA256Secrets
	if broken, ok := auth.As[auth.SecretSource](s.Broken); ok && auth.ProofsOf(s.Broken)&kinds != 0 {
		if _, err := broken.Secret(context.Background(), s.User, "PLAIN"); err == nil || errors.Is(err, auth.ErrBadCredentials) {
			t.Errorf("a secret of a broken source gave %v; want ErrUnavailable", err)
		}
	}
}

func (s suite) changed(t *testing.T) {
	if s.SetPassword == nil {
		t.Skip("passwords can't be changed")
	}
	changed := s.Password + " changed"
	s.right(t) // what remembers passwords knows this one now
	s.SetPassword(t, changed)
	s.refused(t, s.credentials(s.User, s.Password))
	if id, err := s.Auth.Authenticate(t.Context(), s.credentials(s.User, changed)); err != nil || id.User != s.Identity {
		t.Errorf("the new password gave %q, %v; want %q", id.User, err, s.Identity)
	}
	s.SetPassword(t, s.Password)
	s.refused(t, s.credentials(s.User, changed))
	s.right(t)
}
