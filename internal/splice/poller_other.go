//go:build !linux

package splice

import "time"

const (
	parks = false
	// warm is how long a direction waits before that is found out again.
	warm = time.Hour
)

// poller only keeps the time: each direction waits in a goroutine of its own.
type poller struct{ closed chan struct{} }

func newPoller() (*poller, error) { return &poller{make(chan struct{})}, nil }

func (p *poller) close() { close(p.closed) }

// wait waits until some time. It returns false when the poller was closed.
func (p *poller) wait(until time.Time, _ func(token uint64)) bool {
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-p.closed:
		return false
	}
}

func (d *direction) park() bool { return false }
