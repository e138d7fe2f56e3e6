package imap

import (
	"bytes"
	"context"
	"errors"
	"log/slog"

	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/storage"
)

// parseIdle reads IDLE (RFC 9051 §6.3.13, RFC 2177).
func parseIdle(*parser) request { return requestFunc(runIdle) }

// runIdle waits for DONE. Meanwhile the session holds no buffers, and changes
// of the mailbox are told by goroutines that live as long as they write.
func runIdle(ctx context.Context, s *session) (result, error) {
	s.out.text("+ idling\r\n")
	s.in.done()
	if err := s.beginPushes(ctx); err != nil {
		return result{}, err
	}
	s.conn.SetIdleTimeout(s.server.Timeouts.push())
	line, err := s.conn.ReadLine(maxDone)
	s.conn.SetIdleTimeout(s.server.Timeouts.idle())
	if err != nil && !errors.Is(err, wire.ErrInterrupted) {
		s.cutPushes(err)
	}
	done := err == nil && bytes.EqualFold(bytes.TrimRight(line, "\r\n"), []byte("DONE"))
	s.endPushes()
	s.out.reset()
	switch {
	case errors.Is(err, wire.ErrLineTooLong):
		return result{}, errLineTooLong
	case err != nil:
		return result{}, &broken{err}
	case !done:
		return result{}, bad("Expected DONE")
	}
	return result{}, nil
}

// maxDone bounds the line that ends IDLE.
const maxDone = 64 << 10

// notice is called by the store after every change in the account. It must
// not block: it leaves a mark, and inside IDLE sends a goroutine.
func (s *session) notice(ctx context.Context, c storage.Change) {
	if c.Mailbox == 0 || uint64(c.Mailbox) != s.selected.Load() {
		return
	}
	s.dirty.Store(true)
	if s.waiting.Load() && s.pushing.CompareAndSwap(false, true) {
		go s.push(ctx)
	}
}

// beginPushes tells what happened until now and lets pushes tell the rest.
func (s *session) beginPushes(ctx context.Context) error {
	s.waiting.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = true
	if err := s.update(ctx, allUpdates); err != nil {
		return err
	}
	if s.view != nil {
		s.view.attrs = nil
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
	s.pushing.Store(false) // from here on a change needs another push
	if !s.idle {
		return
	}
	s.out.reset()
	err := s.update(ctx, allUpdates)
	if endsSession(err) {
		s.out.status("*", "BYE", "", errMailboxGone.text)
	}
	if s.view != nil {
		s.view.attrs = nil
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

// endPushes waits for a running push; none comes after it.
func (s *session) endPushes() {
	s.waiting.Store(false)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = false
}

// cutPushes lets a push that can't write any more end at once.
func (s *session) cutPushes(err error) {
	if lost(err) && !isTimeout(err) {
		s.conn.Close()
	}
}
