package smtp

import (
	"context"
	"log/slog"
	"strings"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/proxy"
)

func (p *Proxy) authenticator(c *conversation) auth.Authenticator {
	if c.visitor == nil {
		c.visitor = &proxy.Visitor{
			Front: p.Front, Auth: p.Auth, Throttle: p.Throttle,
			Client: func() proxy.Client { return c.facts.client(proxy.Submission) },
			LogIn:  func(ctx context.Context, l *proxy.Link, w proxy.Words) error { return p.logIn(ctx, c, l, w) },
		}
	}
	return c.visitor
}

// enter sees to it that the client who has proved to be somebody is logged in
// at his back end.
func (p *Proxy) enter(ctx context.Context, c *conversation, id auth.Identity) error {
	link, err := c.visitor.Enter(ctx, id)
	if err != nil {
		return err
	}
	c.link, c.visitor, c.closing = link, nil, true // the rest is the back end's
	return nil
}

// logIn is the LogIn of a Visitor.
func (p *Proxy) logIn(ctx context.Context, c *conversation, link *proxy.Link, words proxy.Words) error {
	h := &hop{link: link, name: c.hostname}
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
				slog.String("session", c.facts.ID), slog.String("backend", link.Route().String()), slog.String("extension", keyword))
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
	if c.visitor != nil {
		c.visitor.Close()
	}
	if c.link != nil {
		c.link.Close()
		c.link = nil
	}
}
