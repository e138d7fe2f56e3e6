package smtp

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/posthouse-mail/posthouse/proxy"
)

// hopConn is a Link as a net.Conn, for package sender. A deadline that passes
// closes the link: nothing is said on it afterwards anyway.
type hopConn struct {
	link *proxy.Link

	mu     sync.Mutex
	timer  *time.Timer // nil: no deadline
	passed bool
}

var _ net.Conn = (*hopConn)(nil)

func (c *hopConn) Read(p []byte) (int, error) {
	n, err := c.link.Read(p)
	return n, c.reason(err)
}

func (c *hopConn) Write(p []byte) (int, error) {
	n, err := c.link.Write(p)
	if err == nil {
		err = c.link.Flush()
	}
	return n, c.reason(err)
}

// reason makes the error of a closed link the one of the deadline that has
// closed it.
func (c *hopConn) reason(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && c.passed {
		return errors.Join(os.ErrDeadlineExceeded, err)
	}
	return err
}

func (c *hopConn) Close() error {
	_ = c.SetDeadline(time.Time{})
	return c.link.Close()
}

func (c *hopConn) LocalAddr() net.Addr  { return c.link.NetConn().LocalAddr() }
func (c *hopConn) RemoteAddr() net.Addr { return c.link.NetConn().RemoteAddr() }

// SetDeadline bounds reads and writes together; the zero time is no bound
// beside those of the link.
func (c *hopConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	if !t.IsZero() {
		c.timer = time.AfterFunc(time.Until(t), c.expire)
	}
	return nil
}

func (c *hopConn) expire() {
	c.mu.Lock()
	c.passed = true
	c.mu.Unlock()
	c.link.Close()
}

func (c *hopConn) SetReadDeadline(t time.Time) error  { return c.SetDeadline(t) }
func (c *hopConn) SetWriteDeadline(t time.Time) error { return c.SetDeadline(t) }
