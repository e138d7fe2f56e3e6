package proxy

import "golang.org/x/sys/unix"

// portLater makes bind choose no port, so that each pair of a source address
// and a back end has all ports.
func portLater(fd int) error {
	return unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
}
