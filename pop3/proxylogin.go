package pop3

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/proxy"
)

func (p *Proxy) authenticator(n *session) auth.Authenticator {
	if n.visitor == nil {
		n.visitor = &proxy.Visitor{
			Front: p.Front, Auth: p.Auth, Throttle: p.Throttle, Client: n.client,
			LogIn: func(ctx context.Context, l *proxy.Link, w proxy.Words) error {
				text, err := newBackend(l.Conn).begin(ctx, l, w)
				n.welcome = text
				return err
			},
		}
	}
	return n.visitor
}

// client is what a back end may be told of the session.
func (n *session) client() proxy.Client {
	remote, local := n.told.Ends(n.conn)
	return proxy.Client{Protocol: proxy.POP3, Remote: remote, Local: local, TLS: n.conn.TLS(), Session: n.id, Hops: n.told.HopsLeft()}
}

// enter hands the client over to the back end that he is, or now gets, logged
// in to.
func (p *Proxy) enter(ctx context.Context, n *session, id auth.Identity) error {
	link, err := n.visitor.Enter(ctx, id)
	if err != nil {
		return n.loginFailed(ctx, id.User, err)
	}
	n.link, n.over = link, true
	n.log(ctx, slog.LevelInfo, "logged in", "user", id.User, "tls", n.secure(), "backend", link.Route().String())
	n.ok(cmp.Or(n.welcome, "Logged in"))
	return nil
}

// refusal returns what the client hears of a login that a back end has
// refused; false: it was something else.
func (n *session) refusal(err error) (string, bool) {
	r, ok := errors.AsType[*proxy.Refusal](err)
	if !ok {
		return "", false
	}
	if r.Code == "AUTH" && !errors.Is(r, auth.ErrBadCredentials) { // it was not the client's password
		return "[SYS/TEMP] " + refusals["SYS/TEMP"], true
	}
	text := refusals[r.Code]
	if p, _ := n.gate.behind.(*Proxy); p != nil && p.Pass&PassRefusals != 0 && r.Text != "" {
		text = r.Text
	}
	return "[" + r.Code + "] " + text, true
}

// refusals are what clients hear of a back end's refusals.
var refusals = map[string]string{
	"AUTH":        "Authentication failed",
	"SYS/TEMP":    "Temporary failure, please try again later",
	"SYS/PERM":    "The maildrop can't be opened",
	"IN-USE":      "The maildrop is open in another session",
	"LOGIN-DELAY": "Too soon after the last login",
}

// codeOf returns the code and the kind of a refusal: one without a code is of
// the password, and one with a code that nobody knows is not.
func codeOf(code string) (string, error) {
	switch code = strings.ToUpper(code); code {
	case "", "AUTH":
		return "AUTH", auth.ErrBadCredentials
	case "SYS/PERM", "IN-USE", "LOGIN-DELAY":
		return code, auth.ErrUnavailable
	}
	return "SYS/TEMP", auth.ErrUnavailable
}
