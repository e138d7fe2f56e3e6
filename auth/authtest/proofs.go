package authtest

import (
	"context"
	"errors"
	"testing"

	"github.com/posthouse-mail/posthouse/auth"
)

// strange is a Proof of a kind that nobody knows.
type strange struct{ auth.Token }

// proofs checks what is not a password.
func (s suite) proofs(t *testing.T) {
	can := auth.ProofsOf(s.Auth)
	t.Run("ProofsOfOtherKindsProveNothing", s.otherProofs)
	t.Run("AResponseNamesItsUser", s.nobodysResponse)
	for scheme, kind := range map[string]auth.Kinds{
		"SCRAM-SHA-256": auth.SCRAMSHA256Secrets, "SCRAM-SHA-1": auth.SCRAMSHA1Secrets,
	} {
		if can&(kind|auth.ClearSecrets) != 0 {
			t.Run(scheme, func(t *testing.T) { s.scram(t, scheme) })
		}
		if can&kind != 0 {
			t.Run("ResponseOf"+scheme, func(t *testing.T) { s.responses(t, scheme) })
		}
	}
	if can&auth.ClearSecrets != 0 {
		t.Run("ResponseOfPLAIN", func(t *testing.T) { s.responses(t, "PLAIN") })
	}
}

// otherProofs shows proofs of each kind that is not said to be checked, and
// of the others such as prove nothing. The password beside them is right.
func (s suite) otherProofs(t *testing.T) {
	can := auth.ProofsOf(s.Auth)
	proofs := []auth.Proof{
		strange{}, auth.Token("nothing"), auth.Token(""), &auth.Certificate{}, auth.Ticket{}, auth.Ticket{Name: s.User, Realm: "NOWHERE.INVALID"},
	}
	for scheme, kind := range map[string]auth.Kinds{
		"PLAIN": auth.ClearSecrets, "SCRAM-SHA-256": auth.SCRAMSHA256Secrets, "SCRAM-SHA-1": auth.SCRAMSHA1Secrets, "NO-SUCH-SCHEME": 0,
	} {
		if can&(kind|auth.ClearSecrets) == 0 { // from a password every secret can be made
			proofs = append(proofs, &auth.Response{Scheme: scheme, Check: func(auth.Secret) bool { return true }})
		}
	}
	for _, p := range proofs {
		c := s.credentials(s.User, "")
		c.Proof = p
		s.refused(t, c)
	}
}

func (s suite) nobodysResponse(t *testing.T) {
	for _, scheme := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-1"} {
		c := s.credentials("", "")
		c.Proof = &auth.Response{Scheme: scheme, Check: func(auth.Secret) bool { return true }}
		s.refused(t, c)
	}
}

// responses checks who decides what: the secret whether the response fits,
// everything else the Authenticator.
func (s suite) responses(t *testing.T, scheme string) {
	show := func(user string, fits bool) (auth.Credentials, *auth.Secret) {
		shown := new(auth.Secret)
		c := s.credentials(user, "")
		c.Proof = &auth.Response{Scheme: scheme, Check: func(secret auth.Secret) bool { *shown = secret; return fits }}
		return c, shown
	}
	c, shown := show(s.User, true)
	if id, err := s.Auth.Authenticate(t.Context(), c); err != nil || id.User != s.Identity {
		t.Errorf("a response that fits gave %q, %v; want %q", id.User, err, s.Identity)
	}
	if shown.Scheme != scheme || len(shown.Value) == 0 {
		t.Errorf("a response of scheme %s was given a secret of scheme %q", scheme, shown.Scheme)
	}
	c, _ = show(s.User, false)
	s.refused(t, c)
	c, _ = show(s.Unknown, true)
	s.refused(t, c)
	for _, other := range []string{s.Unknown, s.Other} {
		if c, _ = show(s.User, true); other != "" {
			c.AuthzID = other
			s.refused(t, c)
		}
	}
	if s.Disabled != "" {
		c, _ = show(s.Disabled, true)
		s.refused(t, c, auth.ErrDisabled)
		c, _ = show(s.Disabled, false)
		if _, err := s.Auth.Authenticate(t.Context(), c); !errors.Is(err, auth.ErrBadCredentials) {
			t.Errorf("a response of somebody disabled that does not fit gave %v; want ErrBadCredentials", err)
		}
	}
}

// scram logs in with SCRAM as the mechanism does it.
func (s suite) scram(t *testing.T, mechanism string) {
	try := func(a auth.Authenticator, user, password string) (auth.Identity, error) {
		client := &SCRAM{Mechanism: mechanism, User: user, Password: password}
		return exchange(t.Context(), a, mechanism, client)
	}
	if id, err := try(s.Auth, s.User, s.Password); err != nil || id.User != s.Identity {
		t.Errorf("the right password gave %q, %v; want %q", id.User, err, s.Identity)
	}
	for _, wrong := range [][2]string{{s.User, s.Password + "x"}, {s.User, ""}, {s.Unknown, s.Password}, {s.Other, s.Password}} {
		if id, err := try(s.Auth, wrong[0], wrong[1]); wrong[0] != "" && (!errors.Is(err, auth.ErrBadCredentials) || id != auth.Identity{}) {
			t.Errorf("user %q: a wrong password gave %v, %v; want ErrBadCredentials", wrong[0], id, err)
		}
	}
	if s.Disabled != "" {
		if _, err := try(s.Auth, s.Disabled, s.DisabledPassword); !errors.Is(err, auth.ErrDisabled) && !errors.Is(err, auth.ErrBadCredentials) {
			t.Errorf("somebody disabled gave %v", err)
		}
	}
	if s.Broken != nil {
		if _, err := try(s.Broken, s.User, s.Password); !errors.Is(err, auth.ErrUnavailable) && !errors.Is(err, auth.ErrMechanism) {
			t.Errorf("a broken source gave %v; want ErrUnavailable, or that the mechanism is not offered", err)
		}
	}
}

// saslClient is the client's side of an exchange.
type saslClient interface {
	Start() (mechanism string, response []byte, err error)
	Next(challenge []byte) (response []byte, err error)
}

// exchange runs an exchange to its end.
func exchange(ctx context.Context, a auth.Authenticator, mechanism string, client saslClient) (auth.Identity, error) {
	e, err := auth.NewExchange(ctx, mechanism, a, auth.Policy{}, auth.Credentials{Service: "imap", Secure: true})
	if err != nil {
		return auth.Identity{}, err
	}
	_, response, err := client.Start()
	for err == nil {
		challenge, done, failure := e.Next(response)
		if done || failure != nil {
			return e.Identity(), failure
		}
		response, err = client.Next(challenge)
	}
	return auth.Identity{}, err
}
