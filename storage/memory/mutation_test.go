package memory

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/mutation"
	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/storagetest"
)

// fault is one way in which a store can be wrong.
type fault struct {
	name   string
	caught string // the tests of the suite that must notice it, each of them: two groups and a name
	breaks func(*behaviour)
}

func faults() []fault {
	return slices.Concat(deliverFaults, appendFaults, messageFaults, flagFaults, copyFaults,
		accountFaults, renameFaults, annotationFaults, watchFaults, syncFaults, restartFaults, textFaults)
}

// TestSuiteUnderMutation runs the whole suite against the store that faults are
// built into. Without one it must pass, or what they show is nothing.
func TestSuiteUnderMutation(t *testing.T) {
	breaks := func(*behaviour) {}
	if name := mutation.Chosen(); name != "" {
		i := slices.IndexFunc(faults(), func(f fault) bool { return f.name == name })
		require.GreaterOrEqual(t, i, 0)
		breaks = faults()[i].breaks
	}
	t.Run("Living", func(t *testing.T) {
		storagetest.Run(t, func(t *testing.T) storage.Store { return newMutant(New(), breaks, nil) })
	})
	t.Run("Durable", func(t *testing.T) {
		storagetest.RunDurable(t, func(*testing.T) storagetest.Durable { return durable(New(), breaks) })
	})
}

func newMutant(s *Store, breaks func(*behaviour), d *disk) *mutant {
	x := &mutant{s, good(), d}
	x.how.sync = x.save
	breaks(x.how)
	return x
}

// durable makes a store of which a copy is kept whenever it syncs: that is
// what a crash leaves.
func durable(s *Store, breaks func(*behaviour)) storagetest.Durable {
	x := newMutant(s, breaks, new(disk))
	x.save()
	return storagetest.Durable{Store: x, Crash: func() storagetest.Durable {
		x.disk.saved.Lock()
		left := x.disk.durable.clone()
		x.disk.saved.Unlock()
		if x.how.restart != nil {
			x.how.restart(left)
		}
		return durable(left, breaks)
	}}
}

// TestSuiteCatchesEveryMutation breaks the store in one way at a time and
// requires that the tests of the suite that must notice it do.
func TestSuiteCatchesEveryMutation(t *testing.T) {
	var all []mutation.Mutation
	for _, f := range faults() {
		all = append(all, mutation.Mutation{Name: f.name, Caught: f.caught})
	}
	mutation.Prove(t, "TestSuiteUnderMutation", all)
}

// clone copies a store as it is at one moment. Contents are shared, since they
// never change.
func (s *Store) clone() *Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := New()
	c.lastMailbox, c.lastValidity = s.lastMailbox, s.lastValidity
	for user, a := range s.accounts {
		b := &account{
			store: c, user: user, boxes: make(map[string]*mailbox), subs: maps.Clone(a.subs),
			validity: maps.Clone(a.validity), watchers: make(map[*watcher]bool),
			acl: slices.Clone(a.acl), notes: a.notes, kept: slices.Clone(a.kept), lastKept: a.lastKept,
		}
		for name, m := range a.boxes {
			n := *m
			n.account, n.messages, n.tombs, n.acl = b, slices.Clone(m.messages), slices.Clone(m.tombs), slices.Clone(m.acl)
			b.boxes[name] = &n
		}
		c.accounts[user] = b
	}
	return c
}

// inside calls f while nobody else does anything.
func (s *Store) inside(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// eachBox calls f for every mailbox.
func (s *Store) eachBox(f func(*mailbox)) {
	for _, a := range s.accounts {
		for _, m := range a.boxes {
			f(m)
		}
	}
}
