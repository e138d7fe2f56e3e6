package managesieve

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"log/slog"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/front"
	"github.com/posthouse-mail/posthouse/proxy"
)

var errNeedsTLS = &failure{"ENCRYPT-NEEDED", "A secure connection is required to log in", bad}

// authenticate is AUTHENTICATE (RFC 5804 §2.1): a SASL exchange, with or
// without an initial response.
func (n *session) authenticate(ctx context.Context, args []string) error {
	if len(args) < 1 || len(args) > 2 {
		return misunderstood("AUTHENTICATE needs a mechanism")
	}
	exchange, err := auth.NewExchange(ctx, args[0], n.visitor, proxy.PasswordsUnlessNamed(n.proxy.SASL), n.credentials())
	switch {
	case errors.Is(err, auth.ErrNeedsTLS):
		return errNeedsTLS
	case err != nil:
		return misunderstood("Unknown mechanism")
	}
	var initial []byte
	if len(args) == 2 {
		initial = []byte(args[1])
	}
	id, err := front.RunSASLBy(exchange, initial, n.ask)
	if err == nil {
		n.log(ctx, slog.LevelDebug, "authenticated", "with", args[0])
		return n.enter(ctx, id)
	}
	if of, lost := errors.AsType[*exchangeLost](err); lost {
		return of.error
	}
	switch {
	case errors.Is(err, front.ErrCancelled):
		return misunderstood("Authentication cancelled")
	case errors.Is(err, front.ErrBadBase64):
		return misunderstood("Response is not base64")
	case errors.Is(err, auth.ErrInitialResponse):
		return misunderstood("This mechanism takes no initial response")
	}
	return n.loginFailed(ctx, exchange.User(), err)
}

// exchangeLost is an error of the connection, or of what came in place of a
// response. What an Authenticator failed with may look the same: of its own
// connection, to a directory.
type exchangeLost struct{ error }

// ask says a challenge and reads the response, both strings.
func (n *session) ask(challenge []byte) ([]byte, error) {
	_, _ = n.conn.WriteString(quote(base64.StdEncoding.EncodeToString(challenge)) + "\r\n")
	tokens, err := sentence(n.conn, ofClients, n.limits.Command)
	switch {
	case err != nil:
		return nil, &exchangeLost{err}
	case len(tokens) != 1 || tokens[0].kind != str:
		return nil, &exchangeLost{misunderstood("A response is one string")}
	}
	return front.DecodeSASL([]byte(tokens[0].text))
}

// loginFailed logs a failed login and returns what the client may know. A guess
// is counted and slows the client down; missing, disabled and wrong look the
// same.
func (n *session) loginFailed(ctx context.Context, user string, err error) error {
	answer := refuse("TRYLATER", "Temporary failure, please try again later")
	switch {
	case errors.Is(err, auth.ErrBadCredentials), errors.Is(err, auth.ErrDisabled):
		answer = refuse("", "Authentication failed")
	case errors.Is(err, auth.ErrTooMany):
		answer = refuse("TRYLATER", "Too many failed attempts, please try again later")
	case errors.Is(err, auth.ErrNeedsTLS):
		return errNeedsTLS
	}
	if refusal, ok := errors.AsType[*proxy.Refusal](err); ok && n.proxy.Pass&PassRefusals != 0 {
		answer.text = cmp.Or(refusal.Text, answer.text)
	}
	front.LogFailed(ctx, n.proxy.logger(), front.Login{
		Service: proxy.ManageSieve.String(), Remote: n.remote().String(), User: user, Session: n.id, Told: n.told,
	}, err)
	if !front.IsGuess(err) {
		return answer
	}
	_ = n.conn.Flush() // answers to what was pipelined need not wait
	if !n.guard.Failed(ctx) {
		answer.kind = last
	}
	return answer
}

// client is what a back end may be told of the session.
func (n *session) client() proxy.Client {
	remote, local := n.told.Ends(n.conn)
	return proxy.Client{
		Protocol: proxy.ManageSieve, Remote: remote, Local: local, TLS: n.conn.TLS(), Session: n.id, Hops: n.told.HopsLeft(),
	}
}

// logIn is the LogIn of the session's Visitor.
func (n *session) logIn(ctx context.Context, l *proxy.Link, w proxy.Words) (err error) {
	n.welcome, err = newBackend(l.Conn).begin(ctx, l, w)
	return err
}

// enter hands the client over to the back end that he is, or now gets, logged
// in to.
func (n *session) enter(ctx context.Context, id auth.Identity) error {
	link, err := n.visitor.Enter(ctx, id)
	if err != nil {
		return n.loginFailed(ctx, id.User, err)
	}
	n.link, n.over = link, true
	n.log(ctx, slog.LevelInfo, "logged in", "user", id.User, "tls", n.secure(), "backend", link.Route().String())
	n.ok(cmp.Or(n.welcome, "Logged in"))
	return nil
}
