package oauth

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// How often an issuer is asked for its keys at most: for the sake of a kid
// that is not known, and when it did not answer.
const (
	pauseKnown = time.Minute
	pauseDown  = 10 * time.Second
)

// keyCache keeps an issuer's keys.
type keyCache struct {
	fetch   func(ctx context.Context) (keySet, error) // ends by itself
	refresh time.Duration                             // when keys are fetched anew
	stale   time.Duration                             // how old they may get while that fails
	asking  singleflight.Group

	mu    sync.Mutex
	set   keySet
	good  time.Time // when set was asked for
	tried time.Time // when it was last asked for, with err
	err   error
}

// current returns the keys as they are used for most tokens. While the issuer
// is down nobody waits for it who can go on with its last keys.
func (c *keyCache) current(ctx context.Context) (keySet, error) {
	set, age, down := c.look()
	switch {
	case set != nil && age < c.refresh:
		return set, nil
	case set != nil && age < c.stale && down != nil:
		c.begin(ctx)
		return set, nil
	}
	if err := c.wait(ctx); err != nil {
		return nil, err
	}
	set, age, down = c.look()
	if set != nil && age < c.stale {
		return set, nil
	}
	if down == nil {
		down = errors.New("the keys are too old")
	}
	return nil, unavailable("keys of the issuer", down)
}

// renewed returns keys that were asked for in the last minute, for a token
// that others do not verify. An error when that failed: then nobody knows.
func (c *keyCache) renewed(ctx context.Context) (keySet, error) {
	if err := c.wait(ctx); err != nil {
		return nil, err
	}
	set, _, down := c.look()
	if down != nil {
		return nil, unavailable("keys of the issuer", down)
	}
	return set, nil
}

func (c *keyCache) look() (set keySet, age time.Duration, down error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.set, time.Since(c.good), c.err
}

// begin asks for the keys, unless that was done a moment ago or is being done.
func (c *keyCache) begin(ctx context.Context) <-chan singleflight.Result {
	return c.asking.DoChan("", func() (any, error) {
		c.ask(context.WithoutCancel(ctx)) // others wait for it, too
		return nil, nil
	})
}

func (c *keyCache) wait(ctx context.Context) error {
	select {
	case <-c.begin(ctx):
		return nil
	case <-ctx.Done():
		return unavailable("keys of the issuer", ctx.Err())
	}
}

// ask fetches. It runs in a goroutine of its own, where nobody else would
// recover.
func (c *keyCache) ask(ctx context.Context) {
	now := time.Now()
	if !c.mayAsk(now) {
		return
	}
	var set keySet
	err := errors.New("no answer")
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.tried, c.err = time.Now(), err
		if err == nil {
			c.set, c.good = set, now
		}
	}()
	set, err = c.fetch(ctx)
}

func (c *keyCache) mayAsk(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	pause := pauseKnown
	if c.err != nil {
		pause = pauseDown
	}
	return c.tried.IsZero() || now.Sub(c.tried) >= pause
}
