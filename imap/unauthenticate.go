package imap

import (
	"context"

	"github.com/emersion/go-imap/v2"
)

// unauthenticate is what a client that comes through a front end is not offered:
// who has been let in there would be let in as somebody else here.
const unauthenticate = "UNAUTHENTICATE"

var errThroughFrontEnd = no(imap.ResponseCodeCannot, "Not through a front end: connect anew")

// parseUnauthenticate reads UNAUTHENTICATE (RFC 8437).
func parseUnauthenticate(*parser) request {
	return requestFunc(func(_ context.Context, s *session) (result, error) {
		if s.told.Relayed() {
			return result{}, errThroughFrontEnd
		}
		s.forgetUser()
		return result{code: s.capabilityCode(), text: "Now unauthenticated"}, nil
	})
}

// forgetUser takes the session back to where it was before login: nothing of
// the user stays. TLS and compression are the connection's and do, and so do
// counted failures. A field that login or a later command sets is reset here.
func (s *session) forgetUser() {
	if s.unwatch != nil {
		s.unwatch() // after this, no note of the old account comes
	}
	s.unselect()
	s.unwatch, s.user, s.account = nil, "", nil
	s.dirty.Store(false)
	s.extensions = 0
	s.endNotify()
	s.out.utf8, s.out.rev2 = false, false
	s.state, s.bad = imap.ConnStateNotAuthenticated, 0
	s.in.limits.Command = min(s.limits.Command, commandBeforeLogin)
	s.conn.SetIdleTimeout(s.gate.timeouts.login())
}
