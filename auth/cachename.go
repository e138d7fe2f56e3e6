package auth

import (
	"context"
	"errors"
	"strings"
	"time"
)

// named is the account that a login means.
type named struct {
	user  string
	until time.Time
}

var errNoNamer = errors.New("nobody tells the names of accounts")

// AccountName returns the name that the Namer beneath gives to a login, and
// remembers it as it does successes: a Throttle asks before each attempt, and
// must not wait for a directory each time. Logins that nobody has are asked
// about again.
func (c *Cache) AccountName(ctx context.Context, login string) (string, error) {
	n, ok := As[Namer](c.next)
	if !ok {
		return "", errNoNamer
	}
	user, ok, forgotten := c.nameOf(login)
	if ok {
		return user, nil
	}
	user, err := n.AccountName(ctx, login)
	if err != nil {
		return "", err
	}
	if len(login) <= maxWord {
		c.rememberName(login, user, forgotten)
	}
	return user, nil
}

func (c *Cache) nameOf(login string) (user string, ok bool, forgotten uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, ok := c.names.get(login)
	if ok && !time.Now().Before(n.until) {
		c.names.remove(login)
		ok = false
	}
	return n.user, ok, c.forgotten
}

// rememberName keeps a name, unless somebody was forgotten since it was asked for.
func (c *Cache) rememberName(login, user string, forgotten uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.forgotten == forgotten {
		c.names.put(strings.Clone(login), named{user, time.Now().Add(c.o.TTL)})
	}
}
