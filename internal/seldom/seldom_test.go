package seldom

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTellerTellsOnceInAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		teller := Teller{Every: time.Minute}
		for interval := range 3 {
			untold, now := teller.Tell()
			require.True(t, now)
			require.Equal(t, min(interval, 1)*9, untold)
			for range 9 {
				_, now = teller.Tell()
				require.False(t, now)
			}
			time.Sleep(time.Minute)
		}
	})
}
