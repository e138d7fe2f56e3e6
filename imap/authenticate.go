package imap

import (
	"context"
	"errors"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/front"
	"github.com/posthouse-mail/posthouse/internal/wire"
)

type authenticateRequest struct {
	mechanism string
	initial   []byte // nil: none
}

// parseAuthenticate reads AUTHENTICATE (RFC 9051 §6.2.2, RFC 4959).
func parseAuthenticate(p *parser) request {
	p.space()
	r := &authenticateRequest{mechanism: p.word()}
	if p.more() {
		p.space()
		r.initial = append([]byte{}, p.buf[p.pos:]...)
		p.pos = len(p.buf)
	}
	return r
}

func (r *authenticateRequest) run(ctx context.Context, s *session) (result, error) {
	asked := s.ask()
	exchange, err := auth.NewExchange(ctx, r.mechanism, asked, s.gate.sasl, s.credentials())
	switch {
	case errors.Is(err, auth.ErrNeedsTLS):
		return result{}, errNeedsTLS
	case err != nil:
		return result{}, no("", "Unsupported authentication mechanism")
	}
	_ = s.out.release()
	id, err := front.RunSASL(s.conn, "+ ", exchange, r.initial)
	s.out.reset()
	switch {
	case err == nil:
		return s.gate.behind.enter(ctx, s, asked, id)
	case errors.Is(err, auth.ErrInitialResponse):
		return result{}, bad("This mechanism takes no initial response")
	case front.OfAuthenticator(err):
		return result{}, s.loginFailed(ctx, asked, err)
	case errors.Is(err, front.ErrCancelled):
		return result{}, bad("Authentication cancelled")
	case errors.Is(err, front.ErrBadBase64):
		return result{}, bad("Response is not base64")
	case errors.Is(err, wire.ErrLineTooLong):
		return result{}, errLineTooLong
	}
	return result{}, &broken{err}
}
