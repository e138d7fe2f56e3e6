// Package seldom keeps logs short: what happens again and again is told once
// in an interval.
package seldom

import (
	"sync"
	"time"
)

// Teller decides what is told. Its zero value tells everything.
type Teller struct {
	Every time.Duration // between two times

	mu     sync.Mutex
	next   time.Time
	untold int
}

// Tell reports whether it is time to tell what happens now, and how often it
// has happened since the last time without being told.
func (t *Teller) Tell() (untold int, now bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := time.Now()
	if at.Before(t.next) {
		t.untold++
		return 0, false
	}
	untold, t.untold, t.next = t.untold, 0, at.Add(t.Every)
	return untold, true
}
