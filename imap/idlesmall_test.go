//go:build !race

package imap

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAnIdleSessionIsSmall allows for half as much again as the benchmark
// reports: a goroutine that waits with a grown stack is more than that.
func TestAnIdleSessionIsSmall(t *testing.T) {
	for kind, most := range map[string]float64{"plain": 9, "tls": 18, "deflate": 12} {
		require.Less(t, idleCost(t, kind, 500), most, "KiB of a session in IDLE, "+kind)
	}
}
