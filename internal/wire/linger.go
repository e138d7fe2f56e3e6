package wire

import (
	"net"
	"time"
)

// Linger ends the output and then reads and drops what the client still
// sends, for at most d and limit octets. A server that closes while octets
// are unread makes the network drop its last reply: call Linger between that
// reply and Close.
func (c *Conn) Linger(d time.Duration, limit int64) {
	if c.Flush() != nil || !closeWrite(c.nc) {
		return
	}
	c.dropInput()
	deadline := time.Now().Add(d)
	for limit > 0 {
		c.Advance(c.Buffered())
		if c.receive(deadline, false) != nil { // compressed or not
			return
		}
		limit -= int64(c.Buffered())
	}
}

// closeWrite tells the client that nothing more comes: by the outermost layer
// that can.
func closeWrite(nc net.Conn) bool {
	for {
		if w, ok := nc.(interface{ CloseWrite() error }); ok {
			return w.CloseWrite() == nil
		}
		inner, ok := nc.(netConner)
		if !ok {
			return false
		}
		nc = inner.NetConn()
	}
}
