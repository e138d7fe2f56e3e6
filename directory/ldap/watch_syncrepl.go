package ldap

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	ldap "github.com/go-ldap/ldap/v3"
)

// syncRepl follows a server by RFC 4533 until the connection or ctx ends.
func (w *watch) syncRepl(ctx context.Context, conn *ldap.Conn) error {
	// The connection's own time limit would end the search, which is to
	// last, and drop what comes while we are busy.
	conn.SetTimeout(0)
	ctx, cancel := context.WithCancel(ctx)
	var heart sync.WaitGroup
	defer heart.Wait()
	defer cancel()
	req := ldap.NewSearchRequest(w.c.c.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false,
		"(objectClass=*)", append([]string{"objectClass"}, w.names...), nil)
	res := conn.Syncrepl(ctx, req, 64, ldap.SyncRequestModeRefreshAndPersist, w.cookie, false)
	heart.Go(func() { w.heartbeat(ctx, conn, cancel) })
	return w.syncSession(res)
}

// heartbeat ends the session when the server no longer answers: a search that
// waits for changes alone can't tell that from a quiet day.
func (w *watch) heartbeat(ctx context.Context, conn *ldap.Conn, lost context.CancelFunc) {
	req := ldap.NewSearchRequest("", ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false,
		"(objectClass=*)", []string{"1.1"}, nil)
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(w.c.c.Retry):
		}
		beat, cancel := context.WithTimeout(ctx, w.c.c.Timeout)
		for res := conn.SearchAsync(beat, req, 0); res.Next(); {
		}
		timeout := beat.Err() != nil
		cancel()
		if timeout {
			lost()
			return
		}
	}
}

// session is one search by RFC 4533.
type session struct {
	w       *watch
	initial bool // no cookie was sent: the content is not news
	refresh bool // the first stage (§3.3.1): its cookie is not kept before its end
	cookie  []byte
	present map[entryID]bool // told in the first stage to be there
}

// syncSession reads what a server sends, to the end.
func (w *watch) syncSession(res ldap.Response) error {
	s := &session{w: w, initial: len(w.cookie) == 0, refresh: true, present: make(map[entryID]bool)}
	if s.initial {
		w.restart(w.server)
	}
	w.initial = s.initial
	for res.Next() {
		if err := s.take(res); err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	return s.end(res.Err())
}

// end says what the end of a search means.
func (s *session) end(err error) error {
	var failed *ldap.Error
	switch {
	case err == nil:
		return fmt.Errorf("%w: the server ended the search for changes", ErrUnavailable)
	case ldap.IsErrorWithCode(err, ldap.ErrorNetwork):
	case !s.initial && s.refresh && errors.As(err, &failed):
		// e-syncRefreshRequired (§3.8), or whatever a server says to a
		// cookie that it can't use: the next session begins anew.
		s.w.restart(s.w.server)
	case s.initial && s.refresh:
		if never := refused(err); never != nil {
			return never
		}
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
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
	if _, known := s.w.memory.entries[id]; known && s.refresh && !s.initial {
		s.present[id] = true
	}
}

// absentAreGone ends a present phase (§3.3.2): who was not named is gone.
func (s *session) absentAreGone() {
	if s.initial {
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
	s.refresh, s.present, s.w.initial = false, nil, false
	s.keep(s.cookie)
	s.w.live = true
	if s.initial {
		s.w.tell(Change{All: true})
	}
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
