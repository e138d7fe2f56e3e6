package splice

import (
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/wire"
)

// waitUntilParked waits until the pair waits in no goroutine.
func (r *rig) waitUntilParked(t *testing.T) {
	t.Helper()
	eventually(t, "parking", func() bool {
		watched.mu.Lock()
		defer watched.mu.Unlock()
		for _, p := range watched.pairs {
			if p.client.conn == r.nearClient {
				return p.up.parked.Load() && p.down.parked.Load()
			}
		}
		return false
	})
}

func TestP32AnIdlePairHasNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		start(t, "tcp", "tcp", Timeouts{}).converse(t)
	}
	require.LessOrEqual(t, runtime.NumGoroutine(), before+2*20+1)
	eventually(t, "parking", func() bool { return runtime.NumGoroutine() <= before+1 })
}

func TestAParkedPairGoesOnEndsAndBreaksLikeAnyOther(t *testing.T) {
	for _, by := range []string{"tcp", "tls"} {
		for name, then := range map[string]func(*testing.T, *rig){
			"goes on": func(t *testing.T, r *rig) {
				r.exchange(t, 2<<20)
				r.waitUntilParked(t)
				r.converse(t)
			},
			"client ends": func(t *testing.T, r *rig) {
				r.client.Close()
				_, err := r.server.Read(make([]byte, 1))
				require.ErrorIs(t, err, io.EOF)
				r.server.Close()
				require.NoError(t, r.ended(t))
			},
			"server ends": func(t *testing.T, r *rig) {
				r.server.Close()
				_, err := r.client.Read(make([]byte, 1))
				require.ErrorIs(t, err, io.EOF)
				r.client.Close()
				require.NoError(t, r.ended(t))
			},
			"server breaks off": func(t *testing.T, r *rig) {
				require.NoError(t, wire.New(r.server, wire.Timeouts{}).Reset())
				_, err := r.client.Read(make([]byte, 1))
				require.Error(t, err)
			},
			"kicked": func(t *testing.T, r *rig) {
				r.kick(errKicked)
				require.ErrorIs(t, r.ended(t), errKicked)
			},
			"client closed by somebody": func(t *testing.T, r *rig) {
				r.nearClient.Close()
				require.ErrorIs(t, r.ended(t), net.ErrClosed)
			},
			"server closed by somebody": func(t *testing.T, r *rig) {
				r.nearServer.Close()
				require.ErrorIs(t, r.ended(t), net.ErrClosed)
			},
			"interrupted": func(t *testing.T, r *rig) {
				r.nearClient.Interrupt()
				require.ErrorIs(t, r.ended(t), wire.ErrInterrupted)
			},
		} {
			r := start(t, by, by, Timeouts{})
			r.converse(t)
			t.Run(by+" "+name, func(t *testing.T) {
				t.Parallel()
				r.waitUntilParked(t)
				then(t, r)
			})
		}
	}
}

func TestManyParkedPairsWakeAtOnce(t *testing.T) {
	rigs := make([]*rig, 200)
	for i := range rigs {
		rigs[i] = start(t, "tcp", "tcp", Timeouts{})
		rigs[i].converse(t)
	}
	for _, r := range rigs {
		r.waitUntilParked(t)
	}
	for _, r := range rigs {
		say(t, r.server, "* OK Still here\r\n")
	}
	for _, r := range rigs {
		hear(t, r.client, "* OK Still here\r\n")
	}
}
