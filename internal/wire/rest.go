package wire

import (
	"context"
	"time"
)

// Rest lets a session wait for input without its handler's goroutine, whose
// stack the session has grown: as soon as the handler has returned, whoever
// called it (front.Pool) waits with Doze in a goroutine of a small stack, and
// then has goOn called in a fresh one, as the session's handler, with what Await
// returns. Rest writes what is pending.
func (c *Conn) Rest(goOn func(ctx context.Context, arrived error)) {
	c.goOn = goOn
	c.awake = c.Flush() != nil || c.takeHeld() != nil || c.Buffered() > 0 || c.wait == nil
}

// Resting returns what Rest was given, once; nil when it was not called.
func (c *Conn) Resting() func(ctx context.Context, arrived error) {
	goOn := c.goOn
	c.goOn = nil
	return goOn
}

// takeHeld reads what has left the descriptor, which would not tell of it. An
// error is found again by the next read.
func (c *Conn) takeHeld() error {
	for c.Buffered() == 0 && c.wait != nil {
		if c.zip != nil {
			if err := c.decodeHeld(); err != nil || c.Buffered() > 0 {
				return err
			}
		}
		c.dropInput()
		c.long = nil
		buf, n, err := c.wait.held()
		if n == 0 {
			return err
		}
		_ = c.filled(buf, n, err)
		if c.zip != nil {
			c.toDecode()
		}
	}
	return nil
}

// Doze waits, after Rest, until Await would not block. It keeps away from the
// layers in which a stack grows.
func (c *Conn) Doze() error {
	if c.awake {
		return nil
	}
	return c.untilDeadline(time.Now().Add(c.t.Idle), true, c.wait.readable)
}
