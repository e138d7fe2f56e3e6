package main

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestProxyWorkPrintsItsTable runs everything that the benchmark measures,
// with little work, so that it is in order when somebody wants its figures.
func TestProxyWorkPrintsItsTable(t *testing.T) {
	var out bytes.Buffer
	b := &proxyBench{progress: io.Discard, proxySizes: proxySizes{
		rounds: 1, round: 20 * time.Millisecond, clients: []int{2}, accounts: 2, messages: 10, idle: []int{10}, slow: 2, others: 2, settle: 100 * time.Millisecond,
	}}
	require.NoError(t, b.run(t.Context(), &out))
	t.Log(out.String())
	for _, r := range b.rows {
		require.Regexp(t, `(?m)^ *`+regexp.QuoteMeta(r.name)+` +[a-zA-Zµ/]+ +[-0-9]`, out.String())
		require.Contains(t, r.figures, ours)
		for _, name := range []string{nginx, dovecot, haproxy} {
			_, taken := r.figures[name]
			speaks := name != haproxy || !strings.HasPrefix(r.name, "POP3")
			require.Equal(t, missingWays()[name] == "" && speaks, taken, "%s of %s", r.name, name)
		}
	}
}

// TestAFamilyIsCountedWhole proves that a process's memory and time are those
// of what it has started, too.
func TestAFamilyIsCountedWhole(t *testing.T) {
	require.Contains(t, family(os.Getppid()), os.Getpid())
	alone, err := resident(os.Getpid())
	require.NoError(t, err)
	all, err := residentAll(os.Getppid())
	require.NoError(t, err)
	require.Greater(t, all, alone/2)
	began := cpuTime(os.Getpid())
	for end := time.Now().Add(100 * time.Millisecond); time.Now().Before(end); {
		bytes.Repeat([]byte("x"), 1000)
	}
	require.Greater(t, cpuTime(os.Getpid()), began)
}
