package ldap

import (
	"context"
	"errors"
	"testing"

	ldap "github.com/go-ldap/ldap/v3"
	"github.com/stretchr/testify/require"
)

// script is what a server sends in one search by RFC 4533.
type script struct {
	messages []ldap.SearchSingleResult
	now      ldap.SearchSingleResult
	err      error // at the end
}

func (s *script) Next() bool {
	if len(s.messages) == 0 {
		return false
	}
	s.now, s.messages = s.messages[0], s.messages[1:]
	return true
}

func (s *script) Entry() *ldap.Entry       { return s.now.Entry }
func (s *script) Referral() string         { return s.now.Referral }
func (s *script) Controls() []ldap.Control { return s.now.Controls }
func (s *script) Err() error {
	if len(s.messages) == 0 {
		return s.err
	}
	return nil
}

var errLost = errors.New("connection lost")

func entryMessage(n byte, state ldap.ControlSyncStateState, cookie string, mail ...string) ldap.SearchSingleResult {
	e := ldap.NewEntry("uid="+string('a'+rune(n))+",dc=example,dc=test", map[string][]string{"mail": mail})
	return ldap.SearchSingleResult{Entry: e, Controls: []ldap.Control{
		&ldap.ControlSyncState{State: state, EntryUUID: [16]byte{n}, Cookie: []byte(cookie)},
	}}
}

func infoMessage(i ldap.ControlSyncInfo) ldap.SearchSingleResult {
	return ldap.SearchSingleResult{Controls: []ldap.Control{&i}}
}

func presentDone(cookie string) ldap.SearchSingleResult {
	return infoMessage(ldap.ControlSyncInfo{RefreshPresent: &ldap.ControlSyncInfoRefreshPresent{Cookie: []byte(cookie), RefreshDone: true}})
}

func idSet(deletes ldap.ControlSyncInfoSyncIdSet, ids ...byte) ldap.SearchSingleResult {
	for _, n := range ids {
		deletes.SyncUUIDs = append(deletes.SyncUUIDs, [16]byte{n})
	}
	return infoMessage(ldap.ControlSyncInfo{SyncIdSet: &deletes})
}

// scripted is a watch whose changes are kept.
type scripted struct {
	*watch
	told []Change
}

func newScripted(t *testing.T, c Config) *scripted {
	t.Helper()
	c.URIs, c.Base = []string{"ldap://localhost"}, "dc=example,dc=test"
	connector, err := New(c)
	require.NoError(t, err)
	s := &scripted{}
	s.watch = connector.newWatch(func(c Change) { s.told = append(s.told, c) })
	return s
}

// run lets a server send messages and end with an error; it returns what was told.
func (s *scripted) run(end error, messages ...ldap.SearchSingleResult) ([]Change, error) {
	s.told = nil
	err := s.syncSession(&script{messages: messages, err: end}, func() {})
	return s.told, err
}

func TestRFC4533ContentToBeginWithIsNoNews(t *testing.T) {
	w := newScripted(t, Config{})
	told, err := w.run(errLost,
		entryMessage(1, ldap.SyncStateAdd, "", "a@example.test"), entryMessage(2, ldap.SyncStateAdd, "", "b@example.test"),
		presentDone("one"),
		entryMessage(2, ldap.SyncStateModify, "two", "c@example.test"))
	require.ErrorIs(t, err, errLost)
	require.Equal(t, []Change{
		{All: true},
		{DN: "uid=c,dc=example,dc=test", Old: []string{"b@example.test"}, New: []string{"c@example.test"}},
	}, told)
	require.Equal(t, "two", string(w.cookie))
}

func TestRFC4533WhoIsNotPresentAfterAnOutageIsGone(t *testing.T) {
	w := newScripted(t, Config{})
	_, _ = w.run(errLost, entryMessage(1, ldap.SyncStateAdd, "", "a@example.test"), entryMessage(2, ldap.SyncStateAdd, "", "b@example.test"),
		entryMessage(3, ldap.SyncStateAdd, "", "c@example.test"), entryMessage(4, ldap.SyncStateAdd, "", "d@example.test"), presentDone("one"))
	told, _ := w.run(errLost,
		entryMessage(1, ldap.SyncStateAdd, "", "new@example.test"),
		entryMessage(5, ldap.SyncStateAdd, "", "e@example.test"),
		entryMessage(2, ldap.SyncStatePresent, ""),
		idSet(ldap.ControlSyncInfoSyncIdSet{}, 3),
		presentDone("two"))
	require.Equal(t, []Change{
		{DN: "uid=b,dc=example,dc=test", Old: []string{"a@example.test"}, New: []string{"new@example.test"}},
		{DN: "uid=f,dc=example,dc=test", New: []string{"e@example.test"}},
		{DN: "uid=e,dc=example,dc=test", Old: []string{"d@example.test"}},
	}, told)
	require.Equal(t, "two", string(w.cookie))
}

func TestRFC4533DeletePhaseAfterAnOutage(t *testing.T) {
	w := newScripted(t, Config{})
	_, _ = w.run(errLost, entryMessage(1, ldap.SyncStateAdd, "", "a@example.test"), entryMessage(2, ldap.SyncStateAdd, "", "b@example.test"), presentDone("one"))
	told, _ := w.run(errLost,
		idSet(ldap.ControlSyncInfoSyncIdSet{RefreshDeletes: true}, 2),
		infoMessage(ldap.ControlSyncInfo{RefreshDelete: &ldap.ControlSyncInfoRefreshDelete{Cookie: []byte("two"), RefreshDone: true}}),
		infoMessage(ldap.ControlSyncInfo{NewCookie: &ldap.ControlSyncInfoNewCookie{Cookie: []byte("three")}}),
		entryMessage(1, ldap.SyncStateDelete, ""))
	require.Equal(t, []Change{
		{DN: "uid=c,dc=example,dc=test", Old: []string{"b@example.test"}},
		{DN: "uid=b,dc=example,dc=test", Old: []string{"a@example.test"}},
	}, told)
	require.Equal(t, "three", string(w.cookie))
}

func TestRFC4533ACookieCountsWhenTheFirstStageHasEnded(t *testing.T) {
	w := newScripted(t, Config{})
	_, _ = w.run(errLost, entryMessage(1, ldap.SyncStateAdd, "early", "a@example.test"))
	require.Empty(t, w.cookie, "the rest of the content is missing")
	told, _ := w.run(errLost, entryMessage(2, ldap.SyncStateAdd, "early", "b@example.test"), presentDone("one"))
	require.Equal(t, []Change{{All: true}}, told)

	_, _ = w.run(errLost, entryMessage(3, ldap.SyncStateAdd, "later", "c@example.test"))
	require.Equal(t, "one", string(w.cookie), "who is gone has not been told")
}

func TestRFC4533RefreshRequiredBeginsAnewAndForgetsAllOnce(t *testing.T) {
	w := newScripted(t, Config{})
	_, _ = w.run(errLost, entryMessage(1, ldap.SyncStateAdd, "", "a@example.test"), presentDone("one"))
	told, err := w.run(&ldap.Error{ResultCode: ldap.LDAPResultSyncRefreshRequired, Err: errLost})
	require.Error(t, err)
	require.Empty(t, told)
	require.Empty(t, w.cookie)
	told, _ = w.run(errLost, entryMessage(2, ldap.SyncStateAdd, "", "a@example.test"), presentDone("two"))
	require.Equal(t, []Change{{All: true}}, told)
}

func TestRFC4533AnEntryWithoutItsStateEndsTheSession(t *testing.T) {
	w := newScripted(t, Config{})
	_, err := w.run(nil, ldap.SearchSingleResult{Entry: &ldap.Entry{DN: "uid=a"}})
	require.Error(t, err)
}

func TestWatchRemembersWithinItsBoundAndForgetsAllBeyond(t *testing.T) {
	w := newScripted(t, Config{WatchMemory: 200})
	told, _ := w.run(errLost,
		entryMessage(1, ldap.SyncStateAdd, "", "a@example.test"), entryMessage(2, ldap.SyncStateAdd, "", "b@example.test"),
		entryMessage(3, ldap.SyncStateAdd, "", "c@example.test"), presentDone("one"),
		entryMessage(1, ldap.SyncStateModify, "", "new@example.test"), entryMessage(3, ldap.SyncStateDelete, ""))
	require.Len(t, w.memory.entries, 1)
	require.Equal(t, []Change{
		{All: true},
		{DN: "uid=b,dc=example,dc=test", Old: []string{"a@example.test"}, New: []string{"new@example.test"}},
		{All: true},
	}, told)
}

func TestWatchForgetsAllWhenAGroupDecidesOrAContainerMoves(t *testing.T) {
	group := entryMessage(1, ldap.SyncStateModify, "")
	group.Entry.Attributes = []*ldap.EntryAttribute{{Name: "objectClass", Values: []string{"top", "groupOfNames"}}}
	unit, moved := entryMessage(2, ldap.SyncStateAdd, ""), entryMessage(3, ldap.SyncStateModify, "")
	moved.Controls = []ldap.Control{&ldap.ControlSyncState{State: ldap.SyncStateModify, EntryUUID: [16]byte{2}}}
	unit.Entry.Attributes, moved.Entry.Attributes = nil, nil

	w := newScripted(t, Config{})
	told, _ := w.run(errLost, group, unit, presentDone("one"), group, moved)
	require.Equal(t, []Change{{All: true}, {DN: group.Entry.DN}, {All: true}}, told)
	w = newScripted(t, Config{Groups: Groups{Required: "cn=mail,dc=example,dc=test"}})
	told, _ = w.run(errLost, group, presentDone("one"), group)
	require.Equal(t, []Change{{All: true}, {All: true}}, told)
}

func TestWatchKnowsAUserByAllNamesThatALookupMayUse(t *testing.T) {
	w := newScripted(t, Config{
		Filter: "(|(mail=%e)(&(objectClass=person)(employeeNumber=%u))(x-alias:caseIgnoreMatch:=%e))", Domain: "example.test",
	})
	require.Equal(t, []string{"employeenumber", "mail", "maillocaladdress", "uid", "x-alias"}, w.names)
	e := ldap.NewEntry("uid=a", map[string][]string{
		"Mail": {"a@Example.test"}, "employeeNumber": {"17"}, "uid": {"a"}, "mailLocalAddress": {"SMTP:b@example.org", "X400:c=us"},
		"objectClass": {"person"}, "sn": {"A"},
	})
	r := w.newRecord(e, record{})
	require.Equal(t, r, unpack(r.pack()))
	require.ElementsMatch(t, []string{
		"a@example.test", "b@example.org", "17", "17@example.test", "17@example.org", "a", "a@example.org",
	}, w.namesOf(r))
	require.Equal(t, []string{"a", "b", "c"}, Change{Old: []string{"b", "a"}, New: []string{"c", "a"}}.Names())
}

func TestWatchOfNobodyEndsWithItsContextOrTheConnector(t *testing.T) {
	c, err := New(Config{URIs: []string{"ldap://127.0.0.1:1"}, Base: "dc=example,dc=test"})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, c.Watch(ctx, func(Change) {}), context.Canceled)
	require.NoError(t, c.Close())
	require.ErrorIs(t, c.Watch(t.Context(), func(Change) {}), ErrUnavailable)
}
