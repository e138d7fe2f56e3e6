package main

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// TestR34TheClusterPassesItsSelfTest runs the one command of the README. Its
// steps are what rows 3.4.1 (losing a front end loses nothing, a dead back end
// affects its own accounts alone), 3.4.1.4 (front ends keep nothing) and 3.4.2
// (all services use one map and agree on a user's host) promise.
func TestR34TheClusterPassesItsSelfTest(t *testing.T) {
	realtest.Require(t, "slapd", "ldapadd", "ldapmodify")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "run", ".", "-selftest")
	state := t.TempDir()
	cmd.Env = append(os.Environ(), "TMPDIR="+state)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, len(steps), strings.Count(string(out), "ok  "), "%s", out)
	left, err := os.ReadDir(state)
	require.NoError(t, err)
	require.False(t, slices.ContainsFunc(left, func(f os.DirEntry) bool { return strings.HasPrefix(f.Name(), "posthouse-cluster-") }), "it leaves nothing behind")
}

func TestTheClusterSaysWhatIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := run(t.Context(), "127.77.0", os.Stdout, nil)
	require.ErrorIs(t, err, exec.ErrNotFound)
	require.ErrorContains(t, err, "slapd")
}
