package gssapi

import "time"

// SetClock sets the clock of an Authenticator, and when it began.
func (a *Authenticator) SetClock(now func() time.Time, began time.Time) { a.now, a.began = now, began }

// Remembered returns how many logins are remembered.
func (a *Authenticator) Remembered() int {
	a.replays.mu.Lock()
	defer a.replays.mu.Unlock()
	return len(a.replays.young) + len(a.replays.old)
}
