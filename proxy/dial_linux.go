package proxy

import (
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// portLater makes bind choose no port, so that each pair of a source address
// and a back end has all ports.
func portLater(fd int) error {
	return unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
}

// giveUpAfter ends a connection when what was sent is not confirmed for so
// long, a second at least: keep-alives don't look while something is on its
// way. A system that can't do it gives up in its own time.
func giveUpAfter(fd int, d time.Duration) {
	d = max(d, time.Second)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(min(d.Milliseconds(), math.MaxInt32)))
}
