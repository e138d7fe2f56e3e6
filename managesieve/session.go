package managesieve

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/front"
	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/proxy"
)

// How long and how much a client may still send that was told why its session
// ends; cutting it short could take the reason away from it.
const (
	lingerTime   = 2 * time.Second
	lingerOctets = 1 << 20
)

// session is one connection until somebody is logged in. Only its own
// goroutine touches it.
type session struct {
	proxy   *Proxy
	conn    *wire.Conn
	limits  Limits
	id      string
	guard   front.Guard
	visitor *proxy.Visitor

	bad     int         // commands that could not be understood
	over    bool        // end the session after this command
	link    *proxy.Link // to the back end that goes on with the client; nil: none
	welcome string      // what that back end has said

	told     *front.Told // by the front end whose connection it is; nil: by none
	distrust bool        // what somebody else told was refused, and that was logged
}

// serve runs a session from its greeting to its end.
func (p *Proxy) serve(ctx context.Context, c *wire.Conn) {
	link := p.converse(ctx, c)
	if link == nil {
		return
	}
	link.HandOver(ctx, c, func(err error) { link.LogEnd(ctx, p.logger(), err) }) // once this goroutine has ended
}

// converse returns the link to a back end that goes on with the client; nil:
// nobody does.
func (p *Proxy) converse(ctx context.Context, c *wire.Conn) *proxy.Link {
	limits, told := p.Limits.withDefaults(), front.NewTold(c, p.Fronts)
	n := &session{
		proxy: p, conn: c, limits: limits, id: told.ID(), told: told,
		guard: front.Guard{Max: limits.AuthFailures, Delay: p.Timeouts.AuthDelay},
	}
	n.visitor = &proxy.Visitor{Front: p.Front, Auth: p.Auth, Throttle: p.Throttle, Client: n.client, LogIn: n.logIn}
	defer n.close()
	if err := c.Handshake(ctx); err != nil {
		n.log(ctx, slog.LevelDebug, "TLS handshake failed", "err", err)
		return nil
	}
	n.capabilities(n.greeting())
	n.first(ctx)
	for !n.over {
		n.step(ctx)
	}
	link := n.link
	if c.Flush() != nil {
		return nil
	}
	n.link = nil
	return link
}

// close gives back what the session has, however it ended.
func (n *session) close() {
	n.visitor.Close()
	if n.link != nil {
		n.link.Close()
	}
}

// first looks at what the client says first: it may be of another protocol.
func (n *session) first(ctx context.Context) {
	if n.conn.Await() != nil {
		return // the next read says so too
	}
	if octets, err := n.conn.Window(); err == nil {
		if protocol := front.Foreign(octets); protocol != "" {
			n.log(ctx, slog.LevelInfo, "client speaks another protocol", "protocol", protocol)
			n.over = true
		}
	}
}

// step reads and answers one command.
func (n *session) step(ctx context.Context) {
	tokens, err := sentence(n.conn, ofClients, n.limits.Command)
	if err == nil {
		err = n.run(ctx, tokens)
	}
	if err == nil {
		return
	}
	answer, foreseen := errors.AsType[*failure](err)
	switch {
	case foreseen:
	case errors.Is(err, errSyntax):
		answer = misunderstood("Not a command")
	case errors.Is(err, errFraming):
		answer = farewell("Not a literal")
	case errors.Is(err, errTooLong):
		answer = farewell("Command is too long")
	default:
		n.readFailed(ctx, err)
		return
	}
	if answer.kind == bad {
		n.bad++
	}
	if answer.kind == last || n.bad >= n.limits.BadCommands {
		n.log(ctx, slog.LevelInfo, "session is closed", "why", answer.text)
		n.answer("BYE", answer.code, answer.text)
		n.hangUp()
		return
	}
	n.answer("NO", answer.code, answer.text)
}

// readFailed ends the session after a command that did not come.
func (n *session) readFailed(ctx context.Context, err error) {
	n.over = true
	switch {
	case errors.Is(err, wire.ErrInterrupted):
		n.answer("BYE", "TRYLATER", "Server is stopping")
	case errors.Is(err, os.ErrDeadlineExceeded):
		n.answer("BYE", "", "Idle for too long")
		n.log(ctx, slog.LevelDebug, "idle for too long")
	case !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed):
		n.log(ctx, slog.LevelDebug, "connection lost", "err", err)
	}
}

// hangUp ends the session so that its last answer arrives.
func (n *session) hangUp() {
	n.over = true
	n.conn.Linger(lingerTime, lingerOctets)
}

func (n *session) secure() bool { return n.conn.TLS() != nil }

// allowsLogin reports whether this client may send a password now.
func (n *session) allowsLogin() bool {
	return n.secure() || n.proxy.PlainAuth != nil && n.proxy.PlainAuth(n.told.Allowed(n.conn.Remote()))
}

// credentials returns what is known of the connection.
func (n *session) credentials() auth.Credentials {
	return auth.Credentials{
		Service: proxy.ManageSieve.String(), Remote: n.remote(), Secure: n.secure(), Clear: n.allowsLogin(), TLS: n.conn.TLS(),
	}
}

// log writes a line about this session. Text from a client is only ever a value.
func (n *session) log(ctx context.Context, level slog.Level, text string, more ...any) {
	args := append([]any{"session", n.id, "remote", n.remote().String()}, more...)
	if n.told != nil {
		args = append(args, n.told.Attr())
	}
	n.proxy.logger().Log(ctx, level, text, args...)
}
