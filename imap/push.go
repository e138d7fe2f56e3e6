package imap

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"

	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/storage"
)

// notice is called by the store after every change in the account. It must
// not block: it leaves a mark, and while the client waits sends a goroutine.
func (s *session) notice(ctx context.Context, c storage.Change) {
	if c.Mailbox != 0 && c.ModSeq == 0 { // it is no more
		s.server.boards.forget(c.Mailbox)
	}
	news := false
	if n := s.notify.Load(); n.watching() {
		n.note(c)
		news = true
	}
	if c.Mailbox != 0 && uint64(c.Mailbox) == s.selected.Load() {
		s.dirty.Store(true)
		news = true
	}
	if news && s.waiting.Load() && s.pushing.CompareAndSwap(false, true) {
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
	if err := s.news(ctx); endsSession(err) {
		return err
	}
	if err := s.out.release(); err != nil {
		return &broken{err}
	}
	return nil
}

// push tells the client what changed while it waits.
func (s *session) push(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.survive(ctx)
	s.pushing.Store(false) // from here on a change needs another push
	if !s.idle {
		return
	}
	s.out.reset()
	err := s.news(ctx)
	if endsSession(err) {
		s.out.status("*", "BYE", "", errMailboxGone.text)
	}
	if s.out.release() == nil {
		_ = s.conn.Flush()
	}
	if endsSession(err) {
		s.idle = false
		s.conn.Close() // wakes the session, which waits for the client
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

// news tells a client that waits what changed.
func (s *session) news(ctx context.Context) error {
	err := s.update(ctx, s.pushable())
	if endsSession(err) {
		s.log(ctx, slog.LevelWarn, "mailbox is gone while the client waits", err)
		return err
	} else if err != nil {
		s.log(ctx, slog.LevelWarn, "update of a waiting client failed", err)
	}
	s.tellNotes(ctx)
	return nil
}

// pushable says which changes of the selected mailbox a client that waits may
// be told (RFC 2177, RFC 5465 §4 and §6.1).
func (s *session) pushable() updates {
	n := s.notify.Load()
	switch {
	case n == nil && s.idling:
		return allUpdates
	case n == nil || n.selected.events&messageNew == 0:
		return noUpdates
	case n.selected.kind == filterSelectedDelayed && !s.idling:
		return allButExpunge
	}
	return allUpdates
}

// await waits for the next command. With NOTIFY in force, the client is told
// meanwhile what it asked for.
func (s *session) await(ctx context.Context) error {
	if !s.notify.Load().watching() {
		return s.conn.Await()
	}
	if err := s.beginPushes(ctx); err != nil {
		return err
	}
	err := s.conn.Await()
	s.cutPush(err)
	s.endPushes()
	s.conn.SetIdleTimeout(s.server.Timeouts.idle())
	return err
}

// cutPush ends a push that can't write any more at once, when err says that
// the client is gone.
func (s *session) cutPush(err error) {
	if err != nil && lost(err) && !errors.Is(err, wire.ErrInterrupted) && !isTimeout(err) {
		s.conn.Close()
	}
}
