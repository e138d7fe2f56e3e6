package proxy

import (
	"context"
	"errors"
	"fmt"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/mapping"
)

// Visitor is a client that logs in through a front end. As an
// auth.Authenticator it checks what he shows: with Auth, or else by logging in
// at his back end, so that it is the back end that decides. It serves one
// session, and one goroutine.
type Visitor struct {
	Front    *Front
	Auth     auth.Authenticator // checks before any back end is asked; nil: back ends do
	Throttle *auth.Throttle     // slows guessing down where Auth is nil; nil: nobody does
	Client   func() Client      // what a back end may be told of him now

	// LogIn logs in on a link, beginning with the greeting. Its errors are a
	// *Refusal, a *Referral, of kind ErrUnfit, or the back end's and the
	// network's failures.
	LogIn func(ctx context.Context, l *Link, w Words) error

	shown  auth.Credentials
	proved auth.Identity
	link   *Link // that a login without Auth has made; nil: none
}

// Authenticate checks credentials. What an earlier login has left is closed.
func (v *Visitor) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
	v.Close()
	v.shown = c
	id, err := v.Unwrap().Authenticate(ctx, c)
	v.proved = id
	return id, err
}

// Unwrap returns who decides, with all his powers.
func (v *Visitor) Unwrap() auth.Authenticator {
	switch {
	case v.Auth != nil:
		return v.Auth
	case v.Throttle != nil:
		return v.Throttle.Over(replay{v})
	}
	return replay{v}
}

// Enter returns the link of who has proved to be id by what Authenticate was
// shown last; he is logged in on it. Errors are of kinds of package auth; what
// fails in maps, networks and back ends is auth.ErrUnavailable.
func (v *Visitor) Enter(ctx context.Context, id auth.Identity) (*Link, error) {
	defer v.Close()
	if v.link == nil {
		as := ""
		if v.proved != id { // who has shown them acts for somebody else
			as = v.shown.User
		}
		if err := v.arrive(ctx, id.User, as); err != nil {
			return nil, err
		}
	}
	link := v.link
	v.link = nil
	return link, nil
}

// Close closes the link of a login that came to nothing, and forgets what was
// shown.
func (v *Visitor) Close() {
	if v.link != nil {
		v.link.Close()
	}
	v.link, v.shown, v.proved = nil, auth.Credentials{}, auth.Identity{}
}

// arrive finds the back end of a user and logs in there, following where it
// refers to.
func (v *Visitor) arrive(ctx context.Context, user, as string) error {
	link, err := v.Front.Reach(ctx, user, v.Client())
	for err == nil {
		if err = v.logIn(ctx, link, as); err == nil {
			v.link = link
			return nil
		}
		referral, refers := errors.AsType[*Referral](err)
		if !refers {
			link.Close()
			break
		}
		link, err = v.Front.Refer(ctx, link, referral.To)
	}
	if _, refused := errors.AsType[*Refusal](err); refused {
		return err
	}
	if errors.Is(err, mapping.ErrNotMapped) && v.Auth == nil {
		return fmt.Errorf("%w: %w", auth.ErrBadCredentials, err)
	}
	return fmt.Errorf("%w: %w", auth.ErrUnavailable, err)
}

// logIn logs in on a link, which is told when the back end fails.
func (v *Visitor) logIn(ctx context.Context, l *Link, as string) error {
	w, err := l.words(v.shown, as, v.Auth != nil)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	err = v.LogIn(ctx, l, w)
	if err == nil {
		return nil
	}
	_, refused := errors.AsType[*Refusal](err)
	_, refers := errors.AsType[*Referral](err)
	if !refused && !refers && !errors.Is(err, ErrUnfit) && ctx.Err() == nil {
		l.Failed(err)
	}
	return fmt.Errorf("%s: %w", l.route, err)
}

// replay is the Authenticator of a Visitor where back ends decide.
type replay struct{ visitor *Visitor }

// Proofs returns what can be shown once more.
func (replay) Proofs() auth.Kinds { return auth.Passwords | auth.Tokens }

// Authenticate logs in at the back end of the user, whom the client must name.
func (r replay) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
	if _, ok := mapping.NormalName(c.User); !ok || c.Proof == nil && c.Password == "" {
		return auth.Identity{}, fmt.Errorf("%w: no name, or no password", auth.ErrBadCredentials)
	}
	if err := r.visitor.arrive(ctx, c.User, ""); err != nil {
		return auth.Identity{}, err
	}
	return auth.Identity{User: c.User}, nil
}

// PasswordsUnlessNamed is a Policy whose nil lists mean PLAIN and LOGIN, which
// every back end can be shown.
func PasswordsUnlessNamed(p auth.Policy) auth.Policy {
	passwords := []string{"PLAIN", "LOGIN"}
	if p.Secure == nil {
		p.Secure = passwords
	}
	if p.Plain == nil {
		p.Plain = passwords
	}
	return p
}
