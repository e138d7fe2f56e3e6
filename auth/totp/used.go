package totp

import (
	"fmt"
	"sync"
	"time"

	"github.com/posthouse-mail/posthouse/auth"
)

// used remembers the last step of each user whose code was taken, for as long
// as that code could come again. Only who has logged in has a place in it.
type used struct {
	size int

	mu   sync.Mutex
	last map[string]useOf
}

// useOf is the use of a code.
type useOf struct {
	step  int64
	until time.Time // nobody can use it any more
}

func newUsed(size int) *used { return &used{size: size, last: make(map[string]useOf)} }

// use takes a step's code for a user, unless it or a later one was taken.
// When there is no room to remember it, nobody knows whether it will come
// again, and the user must wait.
func (u *used) use(user string, step int64, until time.Time) error {
	now := time.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	last, ok := u.last[user]
	if ok && step <= last.step {
		return bad("a code that was used")
	}
	if !ok && len(u.last) >= u.size {
		for other, o := range u.last {
			if !now.Before(o.until) {
				delete(u.last, other)
			}
		}
		if len(u.last) >= u.size {
			return fmt.Errorf("%w: too many second factors at a time", auth.ErrUnavailable)
		}
	}
	u.last[user] = useOf{step, until}
	return nil
}
