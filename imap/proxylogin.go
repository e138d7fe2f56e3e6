package imap

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/proxy"
)

// arrival is what the client is told of a login that a back end has accepted.
type arrival struct {
	code, text string // of the tagged OK
	caps       string // the back end's capabilities, if they are not in the code
}

func (p *Proxy) authenticator(s *session) auth.Authenticator {
	if s.visitor == nil {
		s.visitor = &proxy.Visitor{
			Front: p.Front, Auth: p.Auth, Throttle: p.Throttle, Client: s.client,
			LogIn: func(ctx context.Context, l *proxy.Link, w proxy.Words) (err error) {
				s.arrival, err = p.logIn(ctx, s, l, w)
				return err
			},
		}
	}
	return s.visitor
}

// enter hands the client over to the back end that it is, or now gets, logged in
// to.
func (p *Proxy) enter(ctx context.Context, s *session, a *asked, id auth.Identity) (result, error) {
	link, err := s.visitor.Enter(ctx, id)
	if err != nil {
		return result{}, s.loginFailed(ctx, a, err)
	}
	at := s.arrival
	s.link, s.visitor, s.arrival = link, nil, nil
	s.user, s.state = id.User, imap.ConnStateLogout // the rest is the back end's
	s.authenticated(ctx, id, slog.String("backend", link.Route().String()))
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
	if s.visitor != nil {
		s.visitor.Close()
	}
	s.arrival = nil
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

// logIn is the LogIn of a Visitor.
func (p *Proxy) logIn(ctx context.Context, s *session, link *proxy.Link, words proxy.Words) (*arrival, error) {
	b := newBackend(link)
	if err := b.begin(ctx); err != nil {
		return nil, err
	}
	if err := b.tellID(p.idFor(ctx, s, b)); err != nil {
		return nil, err
	}
	return b.logIn(words)
}
