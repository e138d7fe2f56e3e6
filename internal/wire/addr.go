package wire

import (
	"net"
	"net/netip"
)

// RemoteAddrPort is Remote with the port; zero when there is none.
func (c *Conn) RemoteAddrPort() netip.AddrPort { return addrPortOf(c.outer.RemoteAddr()) }

// LocalAddrPort is Local with the port; zero when there is none.
func (c *Conn) LocalAddrPort() netip.AddrPort { return addrPortOf(c.outer.LocalAddr()) }

func addrPortOf(a net.Addr) netip.AddrPort {
	if ap, ok := a.(interface{ AddrPort() netip.AddrPort }); ok {
		return netip.AddrPortFrom(ap.AddrPort().Addr().Unmap(), ap.AddrPort().Port())
	}
	return netip.AddrPort{}
}
