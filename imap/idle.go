package imap

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime/debug"

	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/storage"
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
	if err != nil && lost(err) && !errors.Is(err, wire.ErrInterrupted) && !isTimeout(err) {
		s.conn.Close() // a push that can't write any more ends at once
	}
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

// notice is called by the store after every change in the account. It must
// not block: it leaves a mark, and inside IDLE sends a goroutine.
func (s *session) notice(ctx context.Context, c storage.Change) {
	if c.Mailbox != 0 && c.ModSeq == 0 { // it is no more
		s.server.boards.forget(boardKey{s.user, c.Mailbox})
	}
	if c.Mailbox == 0 || uint64(c.Mailbox) != s.selected.Load() {
		return
	}
	s.dirty.Store(true)
	if s.waiting.Load() && s.pushing.CompareAndSwap(false, true) {
		go s.push(ctx)
	}
}

// beginPushes tells what happened until now and lets pushes tell the rest.
// What it returns ends the session.
func (s *session) beginPushes(ctx context.Context) error {
	s.in.done()
	s.conn.SetIdleTimeout(s.server.Timeouts.push())
	s.waiting.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = true
	s.out.reset()
	if err := s.update(ctx, allUpdates); endsSession(err) {
		return err
	} else if err != nil {
		s.log(ctx, slog.LevelWarn, "update in IDLE failed", err)
	}
	if err := s.out.release(); err != nil {
		return &broken{err}
	}
	return nil
}

// push tells the client what changed while it waits in IDLE.
func (s *session) push(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.survive(ctx)
	s.pushing.Store(false) // from here on a change needs another push
	if !s.idle {
		return
	}
	s.out.reset()
	err := s.update(ctx, allUpdates)
	if endsSession(err) {
		s.out.status("*", "BYE", "", errMailboxGone.text)
	}
	if s.out.release() == nil {
		_ = s.conn.Flush()
	}
	if err != nil {
		s.log(ctx, slog.LevelWarn, "update in IDLE failed", err)
	}
	if endsSession(err) {
		s.idle = false
		s.conn.Close() // wakes the session, which waits for DONE
	}
}

// survive keeps a panic within its session: the pool does so only for the
// session's own goroutine.
func (s *session) survive(ctx context.Context) {
	if v := recover(); v != nil {
		s.idle = false
		s.conn.Close()
		s.log(ctx, slog.LevelError, "session panicked", nil, "panic", v, "stack", string(debug.Stack()))
	}
}

// endPushes waits for a running push; none comes after it.
func (s *session) endPushes() {
	s.waiting.Store(false)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = false
}
