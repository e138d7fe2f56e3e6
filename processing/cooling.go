package processing

import (
	"fmt"
	"sync"
	"time"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/smtp/sender"
)

// maxCooling bounds how many ways are remembered.
const maxCooling = 10_000

// cooling remembers ways that were out of reach a moment ago. Other mail that
// would go there waits without an attempt of its own: finding out again that a
// host is dead takes minutes, and those attempts would crowd out the living.
type cooling struct {
	mu   sync.Mutex
	down map[string]coldness
}

type coldness struct {
	until time.Time
	reply *mail.Reply
}

// check returns why a way is not tried now; nil: try it.
func (c *cooling) check(way string, now time.Time) *mail.Reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, ok := c.down[way]
	switch {
	case !ok:
		return nil
	case !now.Before(d.until):
		delete(c.down, way)
		return nil
	}
	return d.reply
}

// note learns from an attempt.
func (c *cooling) note(way string, results []sender.Result, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range results {
		if !r.Reply.Temporary() || !isOutOfReach(r.Reply) {
			delete(c.down, way)
			return
		}
	}
	if c.down == nil {
		c.down = make(map[string]coldness)
	}
	if len(c.down) >= maxCooling {
		c.sweep(time.Now())
	}
	if len(c.down) < maxCooling {
		c.down[way] = coldness{until, results[0].Reply}
	}
}

func (c *cooling) sweep(now time.Time) {
	for way, d := range c.down {
		if !now.Before(d.until) {
			delete(c.down, way)
		}
	}
}

// wayOf names what is out of reach when a route fails: its hosts, or the MX
// hosts of the destination.
func wayOf(destination string, r sender.Route) string {
	if len(r.Hosts) == 0 {
		return destination
	}
	way := ""
	for _, h := range r.Hosts {
		way += fmt.Sprintf("%s:%d ", h.Name, h.Port)
	}
	return way
}

// isOutOfReach reports whether a reply is about network and routing, not
// about the message (RFC 3463 §3.5).
func isOutOfReach(r *mail.Reply) bool { return r.EnhancedCode()[1] == 4 }
