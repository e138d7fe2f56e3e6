package smtp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
)

// replay is the Authenticator of one session where back ends check: to
// authenticate is to log in there.
type replay struct {
	proxy *Proxy
	c     *conversation
}

func (p *Proxy) authenticator(c *conversation) auth.Authenticator {
	switch {
	case p.Auth != nil:
		return p.Auth
	case p.Throttle != nil:
		return p.Throttle.Over(replay{p, c})
	}
	return replay{p, c}
}

// Proofs returns what can be shown once more.
func (replay) Proofs() auth.Kinds { return auth.Passwords | auth.Tokens }

// Authenticate logs in at the back end of the user. Its identity is the name
// that the client gave.
func (r replay) Authenticate(ctx context.Context, creds auth.Credentials) (auth.Identity, error) {
	_, ok := mapping.NormalName(creds.User)
	if !ok || creds.Proof == nil && creds.Password == "" {
		return auth.Identity{}, fmt.Errorf("%w: no name, or no password", auth.ErrBadCredentials)
	}
	if err := r.proxy.arrive(ctx, r.c, creds.User, shown{creds: creds}); err != nil {
		return auth.Identity{}, err
	}
	return auth.Identity{User: creds.User}, nil
}

// enter sees to it that the client who has proved to be somebody is logged in
// at his back end.
func (p *Proxy) enter(ctx context.Context, c *conversation, l *login, id auth.Identity) error {
	if c.link == nil {
		with := shown{creds: l.creds, checked: true}
		if l.id != id { // who has shown them acts for somebody else
			with.as = l.creds.User
		}
		if err := p.arrive(ctx, c, id.User, with); err != nil {
			return err
		}
	}
	c.closing = true // the rest is the back end's
	return nil
}

// arrive finds the back end of a user and logs in there. Errors are of kinds of
// package auth.
func (p *Proxy) arrive(ctx context.Context, c *conversation, user string, with shown) error {
	c.dropLink()
	link, err := p.Front.Reach(ctx, user, c.facts.client(proxy.Submission))
	if errors.Is(err, mapping.ErrNotMapped) && !with.checked {
		return fmt.Errorf("%w: %w", auth.ErrBadCredentials, err)
	}
	if err == nil {
		if err = p.logIn(ctx, c, link, with); err == nil {
			c.link = link
			return nil
		}
		link.Close()
	}
	if errors.Is(err, auth.ErrBadCredentials) {
		return err
	}
	return fmt.Errorf("%w: %v", auth.ErrUnavailable, err) // whose kind is hidden: it must not look like the client's
}

// logIn logs in at a back end. Of what is not its refusal the link is told.
func (p *Proxy) logIn(ctx context.Context, c *conversation, link *proxy.Link, with shown) error {
	words, err := with.words(link)
	if err != nil {
		return fmt.Errorf("%s: %w", link.Route(), err)
	}
	stop := context.AfterFunc(ctx, func() { link.Close() })
	defer stop()
	h := &hop{link: link, name: c.hostname}
	if err = p.logInAt(ctx, c, h, words); err == nil {
		return nil
	}
	if !errors.Is(err, auth.ErrBadCredentials) && !errors.Is(err, errUnfit) && ctx.Err() == nil {
		link.Failed(err)
	}
	return fmt.Errorf("%s: %w", link.Route(), err)
}

func (p *Proxy) logInAt(ctx context.Context, c *conversation, h *hop, words loginWords) error {
	if err := h.begin(ctx, &c.facts); err != nil {
		return err
	}
	if name := ehloName(c.facts.Helo, h.name); name != h.name {
		h.name, h.extensions = name, nil // it is the client who goes on
	}
	if err := h.ehlo(); err != nil {
		return err
	}
	for _, extension := range p.announced() {
		keyword, _, _ := strings.Cut(extension, " ")
		if !h.has(strings.ToUpper(keyword)) {
			c.log.LogAttrs(ctx, slog.LevelWarn, "back end lacks what clients were told of",
				slog.String("session", c.facts.ID), slog.String("backend", h.link.Route().String()), slog.String("extension", keyword))
		}
	}
	return h.logIn(words)
}

// client is what a back end may be told of the session.
func (s *Session) client(p proxy.Protocol) proxy.Client {
	return proxy.Client{Protocol: p, Remote: s.Remote, Local: s.Local, TLS: s.TLS, Session: s.ID, Hops: s.Hops}
}

// handOver lets the back end go on with the client, from what he has sent
// already, once this goroutine has ended. The hooks hear then that the session
// is over.
func (c *conversation) handOver(ctx context.Context) {
	if c.wire.Flush() != nil {
		return // he is gone
	}
	link := c.link
	c.link, c.gone = nil, true
	link.HandOver(ctx, c.wire, func(err error) {
		link.LogEnd(ctx, c.log, err)
		c.leave()
	})
}

// dropLink closes what a login that came to nothing has left.
func (c *conversation) dropLink() {
	if c.link != nil {
		c.link.Close()
		c.link = nil
	}
}
