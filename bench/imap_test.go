package main

import (
	"bytes"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMailboxWorkPrintsItsTable runs everything that the benchmark measures,
// with little work, so that it is in order when somebody wants its figures.
func TestMailboxWorkPrintsItsTable(t *testing.T) {
	var out bytes.Buffer
	err := mailboxWork(t.Context(), []string{
		"-accounts", "4", "-messages", "60", "-rounds", "1", "-sessions", "2", "-operations", "6", "-idle", "5", "-million", "150",
	}, &out)
	require.NoError(t, err)
	t.Log(out.String())
	for _, op := range operations(sizes{million: 150, idle: 5}) {
		require.Regexp(t, `(?m)^ *`+regexp.QuoteMeta(op.name)+` +[-0-9]`, out.String())
	}
}

// TestMessagesAreAlike proves that every run, and every server in it, gets
// the same messages, of about the size that was asked for.
func TestMessagesAreAlike(t *testing.T) {
	a, b := newWriter(), newWriter()
	total, found := 0, 0
	for range 1000 {
		m := a.message(3 << 10)
		require.Equal(t, m, b.message(3<<10))
		total += len(m)
		found += bytes.Count([]byte(m), []byte("a "+rare))
	}
	require.InDelta(t, 3<<10, total/1000, 300)
	require.NotZero(t, found)
}
