package memory

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/storagetest"
)

// mutation is one way in which a store can be wrong.
type mutation struct {
	name   string
	caught string // the tests of the suite that must notice it, each of them: two groups and a name
	breaks func(*behaviour)
}

func mutations() []mutation {
	return slices.Concat(deliverMutations, appendMutations, messageMutations, flagMutations, copyMutations,
		accountMutations, renameMutations, watchMutations, syncMutations, restartMutations)
}

const mutationEnv = "POSTHOUSE_MUTATION"

// TestSuiteUnderMutation runs the whole suite against the store that the
// mutations are made to. Without one it must pass, or what they show is
// nothing.
func TestSuiteUnderMutation(t *testing.T) {
	breaks := func(*behaviour) {}
	if name := os.Getenv(mutationEnv); name != "" {
		i := slices.IndexFunc(mutations(), func(m mutation) bool { return m.name == name })
		require.GreaterOrEqual(t, i, 0)
		breaks = mutations()[i].breaks
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

// TestSuiteCatchesEveryMutation breaks the store in one way at a time, runs the
// tests that must notice it, each mutation in a process of its own, and
// requires that each of them fails.
func TestSuiteCatchesEveryMutation(t *testing.T) {
	if os.Getenv(mutationEnv) != "" {
		t.Skip("this process has one")
	}
	names := make(map[string]bool)
	for _, m := range mutations() {
		require.False(t, names[m.name], m.name)
		names[m.name] = true
		t.Run(m.name, func(t *testing.T) {
			t.Parallel() // as many at a time as there are processors
			caught := strings.Fields(m.caught)
			require.NotEmpty(t, caught)
			out := mutated(t, m.name, caught)
			for _, name := range caught {
				require.Contains(t, out, "--- FAIL: TestSuiteUnderMutation/"+name+" (", "noticed by no one: %s", out)
			}
			require.NotContains(t, out, "panic: ", "a test must fail, not fall")
			t.Logf("caught by %s", strings.Join(caught, ", "))
		})
	}
	require.GreaterOrEqual(t, len(names), 20)
}

// mutated runs tests of the suite under a mutation and returns what they print.
func mutated(t *testing.T, name string, tests []string) string {
	var levels [3]map[string]bool
	for i := range levels {
		levels[i] = make(map[string]bool)
		for _, test := range tests {
			levels[i][strings.Split(test, "/")[i]] = true
		}
	}
	pattern := "^TestSuiteUnderMutation$"
	for _, l := range levels {
		pattern += "/^(" + strings.Join(slices.Sorted(maps.Keys(l)), "|") + ")$"
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	count := "1"
	if strings.Contains(pattern, "Whole") { // they cut at random moments, and one may be too lucky
		count = "4"
	}
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run="+pattern, "-test.timeout=50s", "-test.count="+count)
	cmd.Env = append(os.Environ(), mutationEnv+"="+name)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "the suite passes: %s", out)
	return string(out)
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
		}
		for name, m := range a.boxes {
			n := *m
			n.account, n.messages, n.tombs = b, slices.Clone(m.messages), slices.Clone(m.tombs)
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
