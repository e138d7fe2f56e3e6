package pop3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/posthouse-mail/posthouse/internal/front"
	"github.com/posthouse-mail/posthouse/internal/wire"
)

// maxLine bounds a command with its line ending: RFC 2449 §4 allows 255
// octets, an initial SASL response is longer (RFC 5034 §4).
const maxLine = front.MaxSASLLine

// session is one connection. Only its own goroutine touches it.
type session struct {
	server *Server
	conn   *wire.Conn
	ctx    context.Context
	log    *slog.Logger
	limits Limits
	guard  front.Guard

	user  string // given by USER, not yet proved
	drop  *maildrop
	wrong int
	quit  bool // end the session after this command
}

// serve runs a session from its greeting to its end.
func (s *Server) serve(ctx context.Context, c *wire.Conn) {
	limits := s.Limits.withDefaults()
	sn := &session{
		server: s, conn: c, ctx: ctx, limits: limits,
		guard: front.Guard{Max: limits.AuthFailures, Delay: limits.AuthDelay},
		log:   s.logger().With("service", "pop3", "session", front.NewID(), "remote", c.Remote().String()),
	}
	defer sn.leave()
	if c.Handshake(ctx) != nil {
		return
	}
	sn.ok("%s", s.greeting())
	for !sn.quit && sn.step() {
	}
	_ = c.Flush()
}

// leave gives the maildrop back, however the session ended.
func (sn *session) leave() {
	if sn.drop != nil {
		sn.drop.markSeen(context.WithoutCancel(sn.ctx))
		sn.server.drops.leave(sn.drop.user)
	}
}

// step reads and answers one command. It returns false when the session is over.
func (sn *session) step() bool {
	line, err := sn.conn.ReadLine(maxLine)
	switch {
	case err == nil:
	case errors.Is(err, wire.ErrLineTooLong):
		sn.fail("Line too long")
		return false
	case errors.Is(err, wire.ErrInterrupted):
		sn.fail("[SYS/TEMP] Server is stopping")
		return false
	default: // the client is gone, or was silent for too long: RFC 1939 §3 says to send nothing
		return false
	}
	name, args, err := parseCommand(line)
	if err == nil {
		err = sn.run(name, args)
	}
	return sn.answerError(err)
}

// run finds and runs a command.
func (sn *session) run(name, args string) error {
	table := authorization
	if sn.drop != nil {
		table = transaction
	}
	c, ok := table[name]
	if !ok {
		if _, elsewhere := authorization[name]; elsewhere {
			return wrong("Command not allowed after login")
		}
		if _, elsewhere := transaction[name]; elsewhere {
			return wrong("Log in first")
		}
		return wrong("Unknown command")
	}
	return c(sn, args)
}

// answerError answers a failed command. It returns false when the session is over.
func (sn *session) answerError(err error) bool {
	if err == nil {
		return true
	}
	answer, ok := errors.AsType[*failure](err)
	if !ok {
		sn.log.Error("command failed", "err", err)
		sn.fail("[SYS/TEMP] Temporary failure, please try again later")
		return true
	}
	sn.fail(answer.text)
	if answer.closes {
		return false
	}
	if answer.wrong {
		sn.wrong++
	}
	return sn.wrong < sn.limits.BadCommands
}

// failure is a negative answer that a client may see.
type failure struct {
	text   string
	wrong  bool // counts as a wrong command
	closes bool
}

func (f *failure) Error() string { return f.text }

func wrong(text string) error { return &failure{text: text, wrong: true} }

func refuse(text string) error { return &failure{text: text} }

// ok answers a command with success.
func (sn *session) ok(format string, args ...any) {
	_, _ = sn.conn.WriteString("+OK " + fmt.Sprintf(format, args...) + "\r\n")
}

func (sn *session) fail(text string) { _, _ = sn.conn.WriteString("-ERR " + text + "\r\n") }

// parseCommand splits a line into the command's name, in upper case, and the rest.
func parseCommand(line []byte) (name, args string, err error) {
	text := string(bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")))
	if strings.ContainsAny(text, "\r\x00") {
		return "", "", wrong("Control character in a command")
	}
	name, args, _ = strings.Cut(text, " ")
	return strings.ToUpper(name), args, nil
}

// command runs with what stood behind its name.
type command func(sn *session, args string) error

// authorization and transaction are the commands of the two states (RFC 1939
// §4, §5). They are never changed.
var (
	authorization = map[string]command{
		"CAPA": (*session).capa, "USER": (*session).userName, "PASS": (*session).pass, "AUTH": (*session).auth,
		"STLS": (*session).stls, "QUIT": (*session).quitEarly,
	}
	transaction = map[string]command{
		"CAPA": (*session).capa, "STAT": (*session).stat, "LIST": (*session).list, "UIDL": (*session).uidl,
		"RETR": (*session).retr, "TOP": (*session).top, "DELE": (*session).dele, "RSET": (*session).rset,
		"NOOP": (*session).noop, "QUIT": (*session).update,
	}
)
