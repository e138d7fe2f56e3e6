package engine

import (
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/posthouse-mail/posthouse/internal/engine/enginetest"
)

// TestFailedOpeningLeavesNothingRunning lets the index fail to write its
// settings, late in its opening, when it has tables that could be merged.
func TestFailedOpeningLeavesNothingRunning(t *testing.T) {
	disk := enginetest.NewDisk()
	o := quiet(disk)
	for i := range 5 {
		e, err := Open("e", o)
		require.NoError(t, err)
		commit(t, e, nil, setKey("k", strings.Repeat("v", i)))
		require.NoError(t, e.Close())
	}
	before := goleak.IgnoreCurrent()
	disk.Before = func(s enginetest.Step) error {
		if s.Kind == "create" && strings.HasSuffix(s.Name, ".dbtmp") {
			return syscall.ENOSPC
		}
		return nil
	}
	_, err := Open("e", o)
	require.ErrorIs(t, err, syscall.ENOSPC)
	goleak.VerifyNone(t, before)
}
