package pop3

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/front"
	"github.com/posthouse-mail/posthouse/internal/wire"
)

// auth is AUTH (RFC 5034): a SASL exchange, with or without an initial
// response.
func (n *session) auth(ctx context.Context, args string) error {
	mechanism, initial, given := strings.Cut(strings.TrimRight(args, " "), " ")
	if mechanism == "" { // before there was CAPA, AUTH alone listed the mechanisms
		if len(n.mechanisms()) == 0 {
			return errNeedsTLS
		}
		n.ok("Mechanisms follow")
		n.lines(n.mechanisms())
		return nil
	}
	exchange, err := auth.NewExchange(ctx, mechanism, n.authenticator(), n.gate.sasl, n.credentials())
	switch {
	case errors.Is(err, auth.ErrNeedsTLS):
		return errNeedsTLS
	case err != nil:
		return misunderstood("Unknown mechanism")
	}
	var response []byte
	if given {
		response = []byte(initial)
	}
	id, err := front.RunSASL(n.conn, "+ ", exchange, response)
	switch {
	case err == nil:
		n.log(ctx, slog.LevelDebug, "authenticated", "with", mechanism)
		return n.login(ctx, id)
	case errors.Is(err, auth.ErrInitialResponse):
		return misunderstood("This mechanism takes no initial response")
	case front.OfAuthenticator(err):
		return n.loginFailed(ctx, exchange.User(), err)
	case errors.Is(err, front.ErrCancelled):
		return misunderstood("Authentication cancelled")
	case errors.Is(err, front.ErrBadBase64):
		return misunderstood("Response is not base64")
	case errors.Is(err, wire.ErrLineTooLong):
		return farewell("Line too long")
	}
	n.readFailed(ctx, err)
	return nil
}
