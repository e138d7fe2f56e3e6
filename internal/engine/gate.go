package engine

import "sync/atomic"

// gate lets readers in until it is closed, and closing waits for those inside.
// Unlike with a lock, a reader may enter again while it is inside.
type gate struct {
	inside atomic.Int64
	closed atomic.Bool
	left   chan struct{} // has room for one
}

func (g *gate) enter() bool {
	g.inside.Add(1)
	if g.closed.Load() {
		g.leave()
		return false
	}
	return true
}

func (g *gate) leave() {
	if g.inside.Add(-1) > 0 || !g.closed.Load() {
		return
	}
	select {
	case g.left <- struct{}{}:
	default:
	}
}

func (g *gate) close() {
	g.closed.Store(true)
	for g.inside.Load() > 0 {
		<-g.left
	}
}
