package front

import (
	"context"
	"time"

	"github.com/posthouse-mail/posthouse/internal/wire"
)

const (
	atOnce    = 100 // sessions that are asked to end at the same moment
	perSecond = 100 // that are asked then, at least
)

// interrupt asks sessions to end, until all have been asked, done is closed,
// or ctx ends.
func interrupt(ctx context.Context, sessions map[*wire.Conn]context.CancelFunc, done <-chan struct{}) error {
	over := time.Duration(max(len(sessions)-atOnce, 0)) * time.Second / perSecond
	start := time.Now()
	if deadline, ok := ctx.Deadline(); ok {
		over = min(over, deadline.Sub(start)/2)
	}
	i := 0
	for c := range sessions {
		if late := i - atOnce; late >= 0 && over > 0 {
			at := start.Add(over * time.Duration(late+1) / time.Duration(len(sessions)-atOnce))
			if stop, err := pause(ctx, time.Until(at), done); stop {
				return err
			}
		}
		c.Interrupt()
		i++
	}
	return nil
}

// pause waits for d, and reports whether there is a reason to stop instead.
func pause(ctx context.Context, d time.Duration, done <-chan struct{}) (stop bool, err error) {
	if d <= 0 {
		return false, nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return false, nil
	case <-done:
		return true, nil
	case <-ctx.Done():
		return true, ctx.Err()
	}
}
