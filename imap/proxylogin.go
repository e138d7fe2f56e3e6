package imap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
)

// arrival is a login that a back end has accepted.
type arrival struct {
	link       *proxy.Link
	code, text string // of its tagged OK
	caps       string // its capabilities, if they are not in the code
}

// replay is the Authenticator of one login where back ends check: to
// authenticate is to log in there.
type replay struct {
	proxy   *Proxy
	session *session
}

func (p *Proxy) authenticator(s *session) auth.Authenticator {
	switch {
	case p.Auth != nil:
		return p.Auth
	case p.Throttle != nil:
		return p.Throttle.Over(replay{p, s})
	}
	return replay{p, s}
}

// Proofs returns what can be shown once more.
func (replay) Proofs() auth.Kinds { return auth.Passwords | auth.Tokens }

// Authenticate logs in at the back end of the user. Its identity is the name
// that the client gave.
func (r replay) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
	_, ok := mapping.NormalName(c.User)
	if !ok || c.Proof == nil && c.Password == "" {
		return auth.Identity{}, fmt.Errorf("%w: no name, or no password", auth.ErrBadCredentials)
	}
	if err := r.proxy.arrive(ctx, r.session, c.User, showing{creds: c}); err != nil {
		return auth.Identity{}, err
	}
	return auth.Identity{User: c.User}, nil
}

// enter hands the client over to the back end that it is, or now gets, logged in
// to.
func (p *Proxy) enter(ctx context.Context, s *session, a *asked, id auth.Identity) (result, error) {
	if s.arrival == nil {
		with := showing{creds: a.creds, checked: true}
		if a.id != id { // who has shown them acts for somebody else
			with.as = a.creds.User
		}
		if err := p.arrive(ctx, s, id.User, with); err != nil {
			return result{}, s.loginFailed(ctx, a, err)
		}
	}
	at := s.arrival
	s.link, s.arrival = at.link, nil
	s.user, s.state = id.User, imap.ConnStateLogout // the rest is the back end's
	s.authenticated(ctx, id, slog.String("backend", at.link.Route().String()))
	if at.caps != "" {
		s.out.capabilities(withoutUnauthenticate(at.caps))
	}
	if _, told := cutPrefixFold(at.code, "CAPABILITY "); told {
		at.code = withoutUnauthenticate(at.code)
	}
	return result{code: at.code, text: at.text}, nil
}

// withoutUnauthenticate is a list of capabilities that a client is told: a
// second login would be the back end's alone.
func withoutUnauthenticate(list string) string {
	return strings.Join(slices.DeleteFunc(strings.Fields(list), func(name string) bool { return strings.EqualFold(name, unauthenticate) }), " ")
}

// leave returns the link of a session that is over, once the client has been
// told of it; nil: there is none.
func (s *session) leave() *proxy.Link {
	link := s.link
	if link == nil || s.conn.Flush() != nil {
		return nil
	}
	s.link = nil
	return link
}

// dropArrival closes what a login that came to nothing has left.
func (s *session) dropArrival() {
	if s.arrival != nil {
		s.arrival.link.Close()
		s.arrival = nil
	}
	if s.link != nil {
		s.link.Close()
		s.link = nil
	}
}

// client is what a back end may be told of the session.
func (s *session) client() proxy.Client {
	remote, local := s.told.Ends(s.conn)
	return proxy.Client{Protocol: proxy.IMAP, Remote: remote, Local: local, TLS: s.conn.TLS(), Session: s.id, Hops: s.told.HopsLeft()}
}

// arrive finds the back end of a user and logs in there, following where it
// refers to. Errors are of kinds of package auth.
func (p *Proxy) arrive(ctx context.Context, s *session, user string, with showing) error {
	link, err := p.Front.Reach(ctx, user, s.client())
	for err == nil {
		var at *arrival
		if at, err = p.logIn(ctx, s, link, with); err == nil {
			s.arrival = at
			return nil
		}
		refers, ok := errors.AsType[*referral](err)
		if !ok {
			link.Close()
			break
		}
		link, err = p.Front.Refer(ctx, link, refers.to)
	}
	refused, ok := errors.AsType[*refusal](err)
	switch {
	case ok:
		refused.shown = p.Pass&PassRefusals != 0
		return err
	case errors.Is(err, mapping.ErrNotMapped) && !with.checked:
		return fmt.Errorf("%w: %w", auth.ErrBadCredentials, err)
	}
	return fmt.Errorf("%w: %w", auth.ErrUnavailable, err)
}

// logIn logs in at a back end. Errors are a refusal, a referral, or the back
// end's or the network's; of those the link is told.
func (p *Proxy) logIn(ctx context.Context, s *session, link *proxy.Link, with showing) (*arrival, error) {
	stop := context.AfterFunc(ctx, func() { link.Close() })
	defer stop()
	b := newBackend(link)
	at, err := p.logInAt(ctx, s, b, with)
	if err != nil {
		_, refused := errors.AsType[*refusal](err)
		_, refers := errors.AsType[*referral](err)
		if !refused && !refers && !errors.Is(err, errUnfit) && ctx.Err() == nil {
			link.Failed(err)
		}
		return nil, fmt.Errorf("%s: %w", link.Route(), err)
	}
	at.link = link
	return at, nil
}

func (p *Proxy) logInAt(ctx context.Context, s *session, b *backend, with showing) (*arrival, error) {
	words, err := with.words(b.link)
	if err != nil {
		return nil, err
	}
	if err := b.begin(ctx); err != nil {
		return nil, err
	}
	if err := b.tellID(p.idFor(ctx, s, b)); err != nil {
		return nil, err
	}
	return b.logIn(words)
}
