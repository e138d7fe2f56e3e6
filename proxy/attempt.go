package proxy

import (
	"context"
	"net/netip"
	"time"
)

// stage is how far a login came.
type stage int

const (
	beforeIdentity stage = iota // the back end knows nothing of the client
	afterIdentity
)

// attempt is one login at a back end. Its verdict is given once: what comes
// after it is not heard. A nil attempt is no Health's.
type attempt struct {
	health  *Health
	host    *hostHealth
	network netip.Prefix // of the client
	began   time.Time
	probe   bool // the one that is let through
	reached bool // connected
	over    bool // the verdict was given
	cut     context.CancelCauseFunc
}

// begin is called when the connection is begun, after waiting for a place.
func (a *attempt) begin() {
	if a == nil {
		return
	}
	a.health.mu.Lock()
	defer a.health.mu.Unlock()
	a.began = time.Now()
}

// connected notes that the connection was made.
func (a *attempt) connected() {
	if a == nil {
		return
	}
	a.health.mu.Lock()
	defer a.health.mu.Unlock()
	delete(a.host.trying, a)
	a.reached = true
	a.host.served = time.Now()
}

// loggedIn notes that the back end serves.
func (a *attempt) loggedIn() { a.settle(func() { a.host.succeed(time.Now(), a.health) }) }

// failed notes that it does not.
func (a *attempt) failed(s stage, reason error) {
	a.settle(func() { a.host.fail(a, s, reason, a.health) })
}

// end is called when the attempt is over. Without another verdict a back end
// that was reached has answered in order, and of one that was not nothing is
// known: the next may try.
func (a *attempt) end() {
	a.settle(func() {
		switch {
		case a.reached:
			a.host.succeed(time.Now(), a.health)
		case a.probe:
			a.host.Next = time.Now()
		}
	})
}

// settle gives the verdict, if none was given.
func (a *attempt) settle(verdict func()) {
	if a == nil {
		return
	}
	a.health.mu.Lock()
	defer a.health.mu.Unlock()
	if a.over {
		return
	}
	a.over = true
	delete(a.host.trying, a)
	a.cut(nil)
	if a.probe {
		a.host.probing = false
	}
	verdict()
}
