package front

import (
	"context"
	"time"
)

// Guard counts the failures of one session and slows it down: the n-th failed
// login is answered after n times Delay. The zero value allows 5 failures
// with a delay of a second.
type Guard struct {
	Max   int           // failures after which Failed says that enough is enough; 0 means 5
	Delay time.Duration // 0 means one second; negative means none

	failures int
}

// Failed counts a failed login, waits, and reports whether the session may
// go on. It is false too when ctx ended.
func (g *Guard) Failed(ctx context.Context) bool {
	g.failures++
	limit, delay := g.Max, g.Delay
	if limit == 0 {
		limit = 5
	}
	if delay == 0 {
		delay = time.Second
	}
	if delay > 0 && sleep(ctx, time.Duration(g.failures)*delay) != nil {
		return false
	}
	return g.failures < limit
}
