package auth

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/posthouse-mail/posthouse/internal/lru"
)

// nameCache remembers which accounts logins mean.
type nameCache struct {
	mu      sync.Mutex
	byLogin *lru.Map[string, named]
}

// named is the account that a login means.
type named struct {
	user  string
	until time.Time
}

var errNoNamer = errors.New("nobody tells the names of accounts")

// AccountName returns the name that the Namer beneath gives to a login, and
// remembers it as long as a success: a Throttle asks before each attempt, and
// must not wait for a directory each time. A login that nobody has is asked
// about again.
func (c *Cache) AccountName(ctx context.Context, login string) (string, error) {
	n, ok := As[Namer](c.next)
	if !ok {
		return "", errNoNamer
	}
	forgotten := c.forgotten.Load()
	if user, ok := c.names.lookup(login); ok {
		return user, nil
	}
	user, err := n.AccountName(ctx, login)
	if err != nil {
		return "", err
	}
	c.rememberName(login, user, forgotten)
	return user, nil
}

// rememberName keeps a name, unless somebody was forgotten since it was asked for.
func (c *Cache) rememberName(login, user string, forgotten uint64) {
	n := &c.names
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.forgotten.Load() == forgotten && len(login) <= maxWord {
		n.byLogin.Put(strings.Clone(login), named{user, time.Now().Add(c.o.TTL)})
	}
}

func (n *nameCache) lookup(login string) (user string, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	found, ok := n.byLogin.Get(login)
	if ok && !time.Now().Before(found.until) {
		n.byLogin.Remove(login)
		return "", false
	}
	return found.user, ok
}

func (n *nameCache) forget(user string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.byLogin.RemoveIf(func(n named) bool { return n.user == user })
}

func (n *nameCache) forgetAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.byLogin.Clear()
}
