package imap

import (
	"bytes"
	"context"
	"errors"

	"github.com/posthouse-mail/posthouse/internal/wire"
)

// parseIdle reads IDLE (RFC 9051 §6.3.13, RFC 2177).
func parseIdle(*parser) request { return requestFunc(runIdle) }

// runIdle lets the session wait for DONE (see session.commands). Meanwhile it
// holds no buffers, and changes of the mailbox are told by goroutines that
// live as long as they write.
func runIdle(_ context.Context, s *session) (result, error) {
	s.out.text("+ idling\r\n")
	s.idling = true
	return result{answered: true}, nil
}

// endIdle ends IDLE: something has arrived, or err says why nothing can.
func (s *session) endIdle(ctx context.Context, err error) error {
	var line []byte
	if err == nil {
		line, err = s.conn.ReadLine(maxDone)
	}
	s.cutPush(err)
	done := err == nil && bytes.EqualFold(bytes.TrimRight(line, "\r\n"), []byte("DONE"))
	s.endPushes()
	s.idling = false
	s.conn.SetIdleTimeout(s.server.Timeouts.idle())
	s.out.reset()
	switch {
	case errors.Is(err, wire.ErrLineTooLong):
		return errLineTooLong
	case err != nil:
		return &broken{err}
	case !done:
		err = bad("Expected DONE")
	}
	reply, err := s.updated(ctx, commands["IDLE"], result{}, err)
	if err = s.finish(ctx, s.running, reply, err); err != nil {
		return err
	}
	if err := s.out.release(); err != nil {
		return &broken{err}
	}
	return nil
}

// maxDone bounds the line that ends IDLE.
const maxDone = 64 << 10
