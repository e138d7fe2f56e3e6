package smtp

import (
	"context"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestP32AnIdleSubmissionHasNoGoroutine(t *testing.T) {
	const n = 20
	way := scripted(t, script{greeting: "220 hi", extensions: []string{"AUTH PLAIN"}})
	p := newProxy(routes{"alice": way})
	address := startProxy(t, p)
	before := runtime.NumGoroutine()
	for range n {
		submitting(t, address)
	}
	require.Eventually(t, func() bool { // one for each at the back end, the watch over all, and the one that asks this
		return runtime.NumGoroutine() <= before+n+2
	}, time.Minute, time.Millisecond)
	require.Equal(t, n, p.Sessions())
}

func TestTheHooksHearOfTheEndOfASubmissionWhenItEnds(t *testing.T) {
	way := scripted(t, script{greeting: "220 hi", extensions: []string{"AUTH PLAIN"}})
	p := newProxy(routes{"alice": way})
	var begun, ended atomic.Pointer[Session]
	p.Hooks = []Hooks{{
		Connect: func(_ context.Context, s *Session) error { begun.Store(s); return nil },
		Close: func(s *Session) {
			require.True(t, ended.CompareAndSwap(nil, s), "it is told once")
			require.Equal(t, "alice", s.User)
		},
	}}
	nc, r := submitting(t, startProxy(t, p))
	require.Eventually(t, func() bool { // the goroutine of the login is gone
		stacks := make([]byte, 1<<20)
		return !strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "front.(*Pool).run(")
	}, time.Minute, time.Millisecond)
	require.Nil(t, ended.Load())
	_, err := io.WriteString(nc, "NOOP\r\n")
	require.NoError(t, err)
	_, err = r.ReadString('\n')
	require.NoError(t, err)
	require.NoError(t, nc.Close())
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(t, p.Shutdown(ctx))
	require.Same(t, begun.Load(), ended.Load())
}
