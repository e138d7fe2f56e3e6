package ldap

import (
	"context"
	"errors"
	"sync"
	"time"

	ldap "github.com/go-ldap/ldap/v3"
)

// syncRepl follows a server by RFC 4533 until the connection or ctx ends.
func (w *watch) syncRepl(ctx context.Context, on *conn) error {
	ctx, cancel := context.WithCancel(ctx)
	var heart sync.WaitGroup
	defer heart.Wait()
	defer cancel()
	defer context.AfterFunc(ctx, on.wire.abort)()
	on.wire.begin(time.Time{}, w.c.c.MaxAnswer) // of a message: what follows has no end
	req := ldap.NewSearchRequest(w.c.c.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false,
		anything, append([]string{"objectClass"}, w.names...), nil)
	res := on.Syncrepl(ctx, req, 0, ldap.SyncRequestModeRefreshAndPersist, w.cookie, false)
	var down <-chan struct{} // nil while the server is, for lookups
	if _, up := w.server.isUp(); up {
		down = w.server.ended()
	}
	heart.Go(func() {
		w.c.heartbeat(ctx, on, down)
		cancel()
	})
	return w.syncSession(res, func() { on.wire.left.Store(w.c.c.MaxAnswer) })
}

// heartbeat returns when the server no longer answers, here or to lookups: a
// search that waits for changes alone can't tell that from a quiet day.
func (c *Connector) heartbeat(ctx context.Context, on *conn, down <-chan struct{}) {
	req := ldap.NewSearchRequest("", ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false, anything, noAttributes, nil)
	for {
		select {
		case <-ctx.Done():
			return
		case <-down:
			return
		case <-time.After(c.c.Retry):
		}
		beat, cancel := context.WithTimeout(ctx, c.c.Timeout)
		for res := on.SearchAsync(beat, req, 0); res.Next(); {
		}
		late := beat.Err() != nil
		cancel()
		if late {
			return
		}
	}
}

// session is one search by RFC 4533.
type session struct {
	w       *watch
	refresh bool // the first stage (§3.3.1): its cookie is not kept before its end
	cookie  []byte
	present map[entryID]bool // told in the first stage to be there
}

// syncSession reads what a server sends, to the end. It calls taken after each
// message.
func (w *watch) syncSession(res ldap.Response, taken func()) error {
	if len(w.cookie) == 0 {
		w.restart(w.server)
	}
	s := &session{w: w, refresh: true, present: make(map[entryID]bool)}
	for res.Next() {
		if err := s.take(res); err != nil {
			return err
		}
		taken()
	}
	err := res.Err()
	if s.refresh && (code(err) > 0 || ldap.IsErrorWithCode(err, ldap.LDAPResultSyncRefreshRequired)) {
		// e-syncRefreshRequired (§3.8), or whatever else a server says to a
		// cookie that it can't use: the next session begins anew.
		w.restart(w.server)
	}
	if err == nil {
		err = errors.New("the search for changes ended")
	}
	return err
}

// take takes one message in.
func (s *session) take(res ldap.Response) error {
	controls := res.Controls()
	if e := res.Entry(); e != nil {
		state, ok := ldap.FindControl(controls, ldap.ControlTypeSyncState).(*ldap.ControlSyncState)
		if !ok {
			return errors.New("an entry without a Sync State Control (RFC 4533 §2.3)")
		}
		s.entry(e, state)
		s.keep(state.Cookie)
		return nil
	}
	if info, ok := ldap.FindControl(controls, ldap.ControlTypeSyncInfo).(*ldap.ControlSyncInfo); ok {
		s.info(info)
	}
	return nil
}

func (s *session) entry(e *ldap.Entry, state *ldap.ControlSyncState) {
	id := entryID(state.EntryUUID)
	switch state.State {
	case ldap.SyncStatePresent:
		s.isPresent(id)
	case ldap.SyncStateDelete:
		s.w.gone(id, e.DN)
	default: // add, modify: the whole entry
		s.w.put(id, s.w.newRecord(e, record{}))
		s.isPresent(id)
	}
}

// info takes a Sync Info Message in (§2.5).
func (s *session) info(i *ldap.ControlSyncInfo) {
	switch {
	case i.NewCookie != nil:
		s.keep(i.NewCookie.Cookie)
	case i.SyncIdSet != nil:
		for _, id := range i.SyncIdSet.SyncUUIDs {
			if i.SyncIdSet.RefreshDeletes {
				s.w.gone(entryID(id), "")
			} else {
				s.isPresent(entryID(id))
			}
		}
		s.keep(i.SyncIdSet.Cookie)
	case i.RefreshDelete != nil:
		s.phaseEnds(i.RefreshDelete.Cookie, i.RefreshDelete.RefreshDone)
	case i.RefreshPresent != nil:
		s.absentAreGone()
		s.phaseEnds(i.RefreshPresent.Cookie, i.RefreshPresent.RefreshDone)
	}
}

func (s *session) isPresent(id entryID) {
	// What is not remembered can't be missed.
	if _, known := s.w.memory.entries[id]; known && s.refresh && !s.w.initial {
		s.present[id] = true
	}
}

// absentAreGone ends a present phase (§3.3.2): who was not named is gone.
func (s *session) absentAreGone() {
	if s.w.initial {
		return
	}
	for id := range s.w.memory.entries {
		if !s.present[id] {
			s.w.gone(id, "")
		}
	}
	if s.w.memory.partial {
		s.w.tell(Change{All: true})
	}
}

// phaseEnds ends a phase of the first stage, or that stage.
func (s *session) phaseEnds(cookie []byte, done bool) {
	if len(cookie) > 0 {
		s.cookie = cookie
	}
	if !done || !s.refresh {
		return
	}
	s.refresh, s.present = false, nil
	s.keep(s.cookie)
	s.w.follows()
}

// keep notes where we stand. In the first stage a cookie counts only when the
// stage has ended: before, what was removed may not have been told yet.
func (s *session) keep(cookie []byte) {
	switch {
	case len(cookie) == 0:
	case s.refresh:
		s.cookie = cookie
	default:
		s.w.cookie = cookie
	}
}
