// Package mutation proves conformance suites: it has tests run against
// something that was broken on purpose, one way at a time, and requires that
// they fail.
//
// Each mutation runs in a process of its own, which is the test binary again
// with the name of the mutation in its environment.
package mutation

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
)

const env = "POSTHOUSE_MUTATION"

// Chosen returns the name of the mutation that this process is to make; empty
// means none.
func Chosen() string { return os.Getenv(env) }

// Mutation is one way in which something can be wrong.
type Mutation struct {
	Name   string
	Caught string // the tests that must notice it, each of them, between spaces
}

// Prove runs, for each mutation, those subtests of the test named suite that
// must notice it, and requires that each of them fails, by a failure and not by
// a panic. As many run at a time as there are processors. Tests that cut the
// power at a random moment may be too lucky: what is not noticed is tried again.
// It skips the test where a mutation is chosen.
func Prove(t *testing.T, suite string, all []Mutation) {
	if Chosen() != "" {
		t.Skip("this process has one")
	}
	names := make(map[string]bool)
	for _, m := range all {
		require.False(t, names[m.Name], "two are called %q", m.Name)
		names[m.Name] = true
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			caught := strings.Fields(m.Caught)
			require.NotEmpty(t, caught)
			missed, out := caught, ""
			for try := 0; try < tries && len(missed) > 0; try++ {
				out = run(t, m.Name, pattern(suite, missed))
				missed = slices.DeleteFunc(missed, func(name string) bool {
					return strings.Contains(out, "--- FAIL: "+suite+"/"+name+" (")
				})
				require.NotContains(t, out, "panic: ")
			}
			require.Empty(t, missed, "not noticed: %s", out)
			t.Logf("noticed by %s", m.Caught)
		})
	}
}

const tries = 3

// pattern matches subtests of a suite, which all have the same depth.
func pattern(suite string, tests []string) string {
	var levels []map[string]bool
	for _, test := range tests {
		for i, word := range strings.Split(test, "/") {
			if i == len(levels) {
				levels = append(levels, make(map[string]bool))
			}
			levels[i][word] = true
		}
	}
	p := "^" + suite + "$"
	for _, l := range levels {
		p += "/^(" + strings.Join(slices.Sorted(maps.Keys(l)), "|") + ")$"
	}
	return p
}

// run returns what the tests print. The time they have is short, so that those
// that wait for what does not come don't wait long.
func run(t *testing.T, mutation, tests string) string {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run="+tests, "-test.timeout=20s")
	cmd.Env = append(os.Environ(), env+"="+mutation)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil {
		require.ErrorAs(t, err, &exit)
	}
	return string(out)
}
