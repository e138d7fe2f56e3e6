package ldap

import (
	"context"
	"errors"
	"net"
	"time"

	ldap "github.com/go-ldap/ldap/v3"
)

// conn is a connection to a server, for one question at a time: go-ldap
// drops answers when several are read at different speeds.
type conn struct {
	*ldap.Conn
	wire   *wire
	epoch  int       // of the server, when it was connected to
	used   time.Time // for the last time
	reused bool      // it has answered before
	broken bool      // it will not answer again
}

// put puts a question before a deadline. When the context ends, so does the
// connection.
func (c *conn) put(ctx context.Context, deadline time.Time, octets int64, question func(*ldap.Conn) error) error {
	c.wire.begin(deadline, octets)
	stop := context.AfterFunc(ctx, c.wire.abort)
	err := question(c.Conn)
	if inTime := c.wire.end(); !stop() || !inTime {
		c.broken = true
	}
	if code(err) >= 0 || isOurs(err) {
		return err
	}
	c.broken = true
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if why := c.wire.reason(); why != nil {
		return why
	}
	return err
}

// stale reports whether a failure may be due to the connection's age alone:
// the server, or something between, had given it up.
func (c *conn) stale(err error) bool {
	return c.reused && c.broken && !timedOut(err) && !errors.Is(err, errTooMuch) &&
		!errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

func timedOut(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// close ends the connection, politely when it still works (RFC 4511 §4.3).
func (c *conn) close() {
	if c.broken || c.IsClosing() {
		c.wire.abort()
		_ = c.Close()
		return
	}
	c.wire.begin(time.Now().Add(time.Second), 0)
	defer c.wire.end()
	if c.Unbind() != nil {
		_ = c.Close()
	}
}
