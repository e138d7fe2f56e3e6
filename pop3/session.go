package pop3

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

// maxLine bounds a command with its line ending, in octets: RFC 2449 §4 allows
// 255, an initial SASL response is longer (RFC 5034 §4).
const maxLine = front.MaxSASLLine

// How long and how much a client may still send that was told why its session
// ends; cutting it short could take the reason away from it.
const (
	lingerTime   = 2 * time.Second
	lingerOctets = 1 << 20
)

// session is one connection. Only its own goroutine touches it.
type session struct {
	gate   *gate
	conn   *wire.Conn
	limits Limits
	id     string
	guard  front.Guard

	told     *front.Told // by the front end whose connection it is; nil: by none
	distrust bool        // what somebody else told was refused, and that was logged

	user string    // given by USER, not yet proved
	drop *maildrop // nil before login: the AUTHORIZATION state
	bad  int       // commands that could not be understood
	over bool      // end the session after this command

	visitor *proxy.Visitor // of a Proxy; nil: a Server's
	link    *proxy.Link    // to the back end that goes on with the client; nil: none
	welcome string         // what that back end has said
}

// authenticator returns who checks what the client shows.
func (n *session) authenticator() auth.Authenticator { return n.gate.behind.authenticator(n) }

// leave gives back what the session has, however it ended.
func (n *session) leave(ctx context.Context) {
	if n.visitor != nil {
		n.visitor.Close()
	}
	if n.link != nil {
		n.link.Close()
		n.link = nil
	}
	if n.drop == nil {
		return
	}
	n.drop.close()
	n.drop.server.drops.leave(n.drop.user)
	n.log(ctx, slog.LevelInfo, "session ended", "retrieved", n.drop.retrieved)
	n.drop = nil
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
	line, err := n.conn.ReadLine(maxLine)
	if err != nil {
		n.readFailed(ctx, err)
		return
	}
	err = n.run(ctx, line)
	if err == nil {
		return
	}
	answer, foreseen := errors.AsType[*failure](err)
	if !foreseen {
		n.log(ctx, slog.LevelError, "command failed", "err", err)
		answer = &failure{text: "[SYS/TEMP] Temporary failure, please try again later"}
	}
	n.fail(answer.text)
	if answer.kind == bad {
		n.bad++
	}
	if answer.kind == last || n.bad >= n.limits.BadCommands {
		n.log(ctx, slog.LevelInfo, "session is closed", "why", answer.text)
		n.hangUp()
	}
}

// readFailed ends the session after a line that did not come.
func (n *session) readFailed(ctx context.Context, err error) {
	n.over = true
	switch {
	case errors.Is(err, wire.ErrLineTooLong):
		n.fail("Line too long")
		n.hangUp()
	case errors.Is(err, wire.ErrInterrupted):
		n.fail("[SYS/TEMP] Server is stopping")
	case errors.Is(err, os.ErrDeadlineExceeded): // RFC 1939 §3: close without an answer
		n.log(ctx, slog.LevelDebug, "idle for too long")
	case !lost(err):
		n.log(ctx, slog.LevelDebug, "connection lost", "err", err)
	}
}

// lost reports whether err is of the connection, not of the command.
func lost(err error) bool {
	for _, of := range []error{io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed, os.ErrDeadlineExceeded, wire.ErrInterrupted} {
		if errors.Is(err, of) {
			return true
		}
	}
	_, network := errors.AsType[net.Error](err)
	return network
}

// hangUp ends the session so that its last answer arrives.
func (n *session) hangUp() {
	n.over = true
	n.conn.Linger(lingerTime, lingerOctets)
}

// log writes a line about this session. Text from a client is only ever a value.
func (n *session) log(ctx context.Context, level slog.Level, text string, more ...any) {
	args := append([]any{"session", n.id, "remote", n.remote().String()}, more...)
	if n.drop != nil {
		args = append(args, "user", n.drop.user)
	}
	if n.told != nil {
		args = append(args, n.told.Attr())
	}
	n.gate.logger.Log(ctx, level, text, args...)
}
