package imap

import (
	"context"
	"errors"

	"github.com/posthouse-mail/posthouse/storage"
)

// updates says which changes of the selected mailbox a client may be told.
type updates int

const (
	noUpdates     updates = iota
	allButExpunge         // while sequence numbers are in use (RFC 3501 §7.4.1)
	allUpdates
)

// update brings the view up to date with the store and tells the client what
// changed. It asks the store only after the store has said that something
// changed.
func (s *session) update(ctx context.Context, which updates) error {
	v := s.view
	if err := s.recheck(ctx); err != nil && which != noUpdates {
		return err
	}
	if v == nil || which == noUpdates {
		return nil
	}
	if !s.dirty.Swap(false) && (!v.owed || which == allButExpunge) && !s.ahead() {
		return nil
	}
	n, err := v.refresh(ctx, which)
	s.tell(ctx, v, n) // with an error too: what was found is in the view now
	s.tellContexts(ctx, v)
	s.holdBack()
	return s.untold(err)
}

// untold returns what a session makes of an error of a refresh.
func (s *session) untold(err error) error {
	if err == nil {
		return nil
	}
	s.dirty.Store(true)
	if errors.Is(err, storage.ErrNoMailbox) {
		return errMailboxGone
	}
	return err
}

// refresh moves the view to the mailbox as it is now and returns what that
// changes. Expunged messages stay in the view until they may be told.
func (v *view) refresh(ctx context.Context, which updates) (n news, err error) {
	now, err := v.board.catchUp(ctx, v.box)
	if err != nil {
		return n, err
	}
	if now.validity != v.validity { // not the mailbox that the client selected
		return n, storage.ErrNoMailbox
	}
	old := v.snapshot
	n = diff(old, now)
	v.owed = which != allUpdates && len(n.gone) > 0
	if v.owed {
		now = now.withGone(old, n.gone)
		n = diff(old, now)
	}
	v.show(now)
	if !n.arrived {
		return n, nil
	}
	from, found := v.find(old.last())
	if found {
		from++
	}
	n.from = from
	return n, v.takeRecent(ctx, from)
}
