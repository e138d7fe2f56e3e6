// Package authtest checks that an auth.Authenticator keeps the promises of
// package auth. Anyone's implementation can run it.
package authtest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/posthouse-mail/posthouse/auth"
)

// Fixture is an Authenticator together with what it is known to hold.
type Fixture struct {
	Auth     auth.Authenticator
	User     string // somebody who can log in,
	Password string // his password,
	Identity string // and who he then is
	Other    string // somebody else who exists; empty: there is nobody
	Unknown  string // somebody who does not exist

	// Shown turns what Password and DisabledPassword hold into the proof that a
	// client shows, as of a token; nil: they are passwords. A proof may name
	// its user itself, so that it is never shown for the empty one.
	Shown func(secret string) auth.Proof

	// Disabled is somebody who exists and whose account is disabled, with
	// DisabledPassword; empty: there is no such thing.
	Disabled, DisabledPassword string
	// Broken is an Authenticator of the kind whose source can't be asked; nil:
	// there is no such thing.
	Broken auth.Authenticator
	// SetPassword changes the password of User, and waits for as long as the
	// old one may be good; nil: it can't be changed.
	SetPassword func(t *testing.T, password string)
}

// suite is a run of the checks.
type suite struct{ Fixture }

// Run checks an Authenticator. It makes some dozens of failed attempts: leave
// throttles out.
func Run(t *testing.T, f Fixture) {
	s := suite{f}
	t.Run("TheRightPasswordProvesTheIdentity", s.right)
	t.Run("AnythingElseProvesNothing", s.wrong)
	t.Run("A01HostileNamesAreNobody", s.hostile)
	t.Run("A02AnEmptyPasswordProvesNothing", s.empty)
	t.Run("A09NobodyActsForSomebodyElse", s.authzID)
	t.Run("A14MissingDisabledAndWrongAreOneKind", s.disabled)
	t.Run("A05ABrokenSourceIsUnavailable", s.broken)
	t.Run("AnEndedContextIsNoAnswerAboutThePassword", s.ended)
	t.Run("AttemptsMayComeFromManyGoroutines", s.together)
	t.Run("SASLGivesTheSameAnswers", s.sasl)
	t.Run("A06TheAccountsNameIsTheIdentity", s.accountName)
	t.Run("SecretsAreOfWhoHasThem", s.secrets)
	t.Run("A08AChangedPasswordIsGoodNoMore", s.changed)
	t.Run("Proofs", s.proofs)
}

func (s suite) credentials(user, password string) auth.Credentials {
	c := auth.Credentials{Service: "imap", Secure: true, Remote: netip.MustParseAddr("192.0.2.1"), User: user, Password: password}
	if s.Shown != nil {
		c.Proof = s.Shown(password)
	}
	return c
}

func (s suite) right(t *testing.T) {
	for range 2 {
		id, err := s.Auth.Authenticate(t.Context(), s.credentials(s.User, s.Password))
		if err != nil || id.User != s.Identity {
			t.Errorf("the right password gave %q, %v; want %q", id.User, err, s.Identity)
		}
	}
}

// refused checks that credentials prove nothing, and that the error does not
// hold the password.
func (s suite) refused(t *testing.T, c auth.Credentials, kinds ...error) {
	t.Helper()
	id, err := s.Auth.Authenticate(t.Context(), c)
	if err == nil || id != (auth.Identity{}) {
		t.Errorf("user %.40q: got %v, %v; want no identity and an error", c.User, id, err)
		return
	}
	for _, kind := range append(kinds, auth.ErrBadCredentials) {
		if errors.Is(err, kind) {
			if len(c.Password) > 4 && strings.Contains(fmt.Sprintf("%v %+v", err, err), c.Password) {
				t.Errorf("user %.40q: the error shows the password", c.User)
			}
			return
		}
	}
	t.Errorf("user %.40q: got %v; want ErrBadCredentials", c.User, err)
}

func (s suite) wrong(t *testing.T) {
	for _, password := range []string{
		s.Password + "x", "x" + s.Password, s.Password[:len(s.Password)-1], s.Password + " ", " " + s.Password,
		s.Password + "\x00", "*", "wrong password", strings.Repeat("long", 64<<10/4),
	} {
		s.refused(t, s.credentials(s.User, password))
	}
	s.refused(t, s.credentials(s.Unknown, s.Password))
}

func (s suite) hostile(t *testing.T) {
	for _, user := range []string{
		"", "*", "admin)(uid=*", `\28`, "\x00", s.User + "\x00", "a,ou=x", "' OR 1=1 --", "%", "\xff\xfe", "\r\n", "ключ", "@", "@example.test", strings.Repeat("x", 64<<10),
	} {
		if user != "" || s.Shown == nil {
			s.refused(t, s.credentials(user, s.Password))
		}
	}
}

func (s suite) empty(t *testing.T) {
	s.refused(t, s.credentials(s.User, ""))
	s.refused(t, s.credentials(s.Unknown, ""))
	s.refused(t, s.credentials("", ""))
}

func (s suite) authzID(t *testing.T) {
	c := s.credentials(s.User, s.Password)
	c.AuthzID = s.User
	if id, err := s.Auth.Authenticate(t.Context(), c); err != nil || id.User != s.Identity {
		t.Errorf("acting for himself gave %q, %v", id.User, err)
	}
	for _, other := range []string{s.Unknown, s.Other} {
		if c.AuthzID = other; other != "" {
			s.refused(t, c)
		}
	}
}

func (s suite) disabled(t *testing.T) {
	if s.Disabled == "" {
		t.Skip("nobody is disabled")
	}
	s.refused(t, s.credentials(s.Disabled, s.DisabledPassword), auth.ErrDisabled)
	_, err := s.Auth.Authenticate(t.Context(), s.credentials(s.Disabled, s.DisabledPassword+"x"))
	if !errors.Is(err, auth.ErrBadCredentials) {
		t.Errorf("a wrong password of somebody disabled gave %v; want ErrBadCredentials", err)
	}
}

func (s suite) broken(t *testing.T) {
	if s.Broken == nil {
		t.Skip("nothing can break")
	}
	for _, user := range []string{s.User, s.Unknown} {
		_, err := s.Broken.Authenticate(t.Context(), s.credentials(user, s.Password))
		if err == nil || errors.Is(err, auth.ErrBadCredentials) || errors.Is(err, auth.ErrDisabled) {
			t.Errorf("user %q with a broken source gave %v; want ErrUnavailable", user, err)
		}
	}
}

func (s suite) ended(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Auth.Authenticate(ctx, s.credentials(s.User, s.Password))
	if errors.Is(err, auth.ErrBadCredentials) || errors.Is(err, auth.ErrDisabled) {
		t.Errorf("an ended context gave %v", err)
	}
}

func (s suite) together(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			password := s.Password
			if i%2 == 1 {
				password += "x"
			}
			if _, err := s.Auth.Authenticate(t.Context(), s.credentials(s.User, password)); (err == nil) != (i%2 == 0) {
				t.Errorf("attempt %d gave %v", i, err)
			}
		})
	}
	wg.Wait()
}

func (s suite) sasl(t *testing.T) {
	if s.Shown != nil {
		t.Skip("mechanisms that carry proofs have tests of their own")
	}
	for _, password := range []string{s.Password, s.Password + "x"} {
		e, err := auth.NewExchange(t.Context(), "PLAIN", s.Auth, auth.Policy{}, s.credentials("", ""))
		if err != nil {
			t.Fatal("PLAIN is not offered")
		}
		_, done, err := e.Next([]byte("\x00" + s.User + "\x00" + password))
		if right := password == s.Password; done != right || (err == nil) != right || right && e.Identity().User != s.Identity {
			t.Errorf("PLAIN gave %v, %v, %v", done, e.Identity(), err)
		}
	}
}
