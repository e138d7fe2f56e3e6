package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"time"
)

// imapConn is an IMAP client that reads what comes and looks for the tagged
// answer alone, so that little of the time that is measured is its own.
type imapConn struct {
	net.Conn
	buf  []byte
	tail []byte // the last octets of an answer
	tags int
}

// tailSize holds the last line of any answer here.
const tailSize = 1024

func dialIMAP(ctx context.Context, address string, config *tls.Config) (*imapConn, error) {
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	_ = nc.SetDeadline(time.Now().Add(time.Hour))
	c := &imapConn{Conn: nc}
	if config != nil {
		c.Conn = tls.Client(nc, config)
	}
	if _, err := c.until("* OK "); err != nil {
		nc.Close()
		return nil, err
	}
	return c, nil
}

// login connects as a user.
func loginIMAP(ctx context.Context, address, user string, config *tls.Config) (*imapConn, error) {
	c, err := dialIMAP(ctx, address, config)
	if err != nil {
		return nil, err
	}
	if _, err := c.do("LOGIN " + user + " " + password); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// do sends a command, which may hold literals that need no permission, and
// reads its answer: its size, or an error when it is not OK.
func (c *imapConn) do(command string) (int, error) {
	c.tags++
	tag := fmt.Sprintf("b%d ", c.tags)
	if _, err := io.WriteString(c, tag+command+"\r\n"); err != nil {
		return 0, err
	}
	size, err := c.until(tag)
	if err == nil && !bytes.Contains(c.tail, []byte(tag+"OK")) {
		err = fmt.Errorf("%.60s: %s", command, lastLine(c.tail))
	}
	return size, err
}

// until reads until a last line begins with a word.
func (c *imapConn) until(word string) (size int, err error) {
	if c.buf == nil {
		c.buf = make([]byte, 256<<10)
	}
	c.tail = c.tail[:0]
	for {
		n, err := c.Read(c.buf)
		if err != nil {
			return size, fmt.Errorf("after %q: %w", c.tail, err)
		}
		size += n
		c.tail = append(c.tail, c.buf[max(0, n-tailSize):n]...)
		c.tail = c.tail[max(0, len(c.tail)-tailSize):]
		if bytes.HasSuffix(c.tail, []byte("\r\n")) && bytes.HasPrefix(lastLine(c.tail), []byte(word)) {
			return size, nil
		}
	}
}

func lastLine(b []byte) []byte {
	b = bytes.TrimSuffix(b, []byte("\r\n"))
	return b[bytes.LastIndexByte(b, '\n')+1:]
}

// idle enters IDLE and drops what only a busy client needs.
func (c *imapConn) idle() error {
	if _, err := io.WriteString(c, "i IDLE\r\n"); err != nil {
		return err
	}
	_, err := c.until("+ ")
	c.buf, c.tail = nil, nil
	return err
}
