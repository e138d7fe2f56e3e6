package imap

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestUnauthenticateKnowsEveryFieldOfASession makes whoever adds a field say
// whether UNAUTHENTICATE must forget it.
func TestUnauthenticateKnowsEveryFieldOfASession(t *testing.T) {
	ofConnection := []string{"gate", "server", "conn", "limits", "in", "id", "guard", "pace", "mu", "out", "told", "distrust", "checks"}
	ofCommand := []string{"running", "idling", "idle", "pushing", "waiting"}
	ofProxy := []string{"clientID", "visitor", "arrival", "link"} // which has no UNAUTHENTICATE
	forgotten := []string{"state", "bad", "user", "account", "unwatch", "view", "extensions", "heard", "vanished", "contexts", "notify", "unfollow", "stale", "selected", "dirty"}
	var known []string
	for _, names := range [][]string{ofConnection, ofCommand, ofProxy, forgotten} {
		known = append(known, names...)
	}
	s := reflect.TypeFor[session]()
	for i := range s.NumField() {
		require.Contains(t, known, s.Field(i).Name, "does forgetUser reset it?")
	}
}

func TestNothingOfTheOldUserReachesTheNext(t *testing.T) {
	s, addr := newServer(t, nil)
	for range 3 {
		deliver(t, s.Store, plainMessage)
	}
	c := login(t, addr)
	c.ok("ENABLE QRESYNC IMAP4rev2")
	c.ok("SELECT INBOX")
	c.ok("SEARCH RETURN (SAVE) ALL")
	c.ok("UNAUTHENTICATE")
	deliver(t, s.Store, plainMessage)
	require.Empty(t, c.ok("NOOP"), "news of the old mailbox")
	c.fails("FETCH 1 (FLAGS)", "BAD")
	c.send("x LOGIN bob hunter2\r\n")
	untagged, answer := c.until("x")
	require.Empty(t, untagged)
	require.Contains(t, answer, "Logged in")
	require.NotContains(t, c.ok(`LIST "" "*"`), "Grüße")
	selected := c.ok("SELECT INBOX")
	require.Contains(t, selected, "* 0 EXISTS\r\n* 0 RECENT\r\n", "IMAP4rev2 is off again")
	c.send("y IDLE\r\n")
	require.Equal(t, "+ idling", c.line())
	deliver(t, s.Store, plainMessage)
	deliverTo(t, s.Store, "bob", "INBOX", plainMessage)
	require.Equal(t, "* 1 EXISTS", c.line(), "of bob's mailbox")
	c.send("DONE\r\n")
	_, answer = c.until("y")
	require.Contains(t, answer, "OK ")
	require.Equal(t, "* SEARCH\r\n", c.ok("SEARCH $"))
	require.NotContains(t, c.ok("FETCH 1 (FLAGS)"), "MODSEQ")
}

func TestCommandsAreSmallAgainAfterUnauthenticate(t *testing.T) {
	_, addr := newServer(t, nil)
	c := login(t, addr)
	c.ok("UNAUTHENTICATE")
	c.send("x LOGIN {20000+}\r\n" + strings.Repeat("a", 20000) + " b\r\n")
	require.Contains(t, c.expectClosed(), "too large")
}

func TestUnauthenticateDoesNotForgetFailedLogins(t *testing.T) {
	_, addr := newServer(t, nil)
	c := dial(t, addr)
	for range 4 {
		c.fails("LOGIN alice wrong", "NO")
	}
	c.ok("LOGIN alice secret")
	c.ok("UNAUTHENTICATE")
	c.send("x LOGIN alice wrong\r\n")
	require.Contains(t, c.expectClosed(), "Too many failed logins")
}
