package proxy

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// OwnListeners returns a function for Front.Own that knows the addresses of
// listeners, as net.Listener.Addr tells them: where one listens on all
// addresses, those of all interfaces of this machine, which are read again
// after 5 seconds at most. It knows nothing of addresses that something in
// front translates; there the number of hops ends a circle. For a name it
// returns false; Front asks again with its addresses.
func OwnListeners(listeners ...net.Addr) func(host string, port int) bool {
	var own []netip.AddrPort
	for _, a := range listeners {
		if t, ok := a.(*net.TCPAddr); ok {
			ap := t.AddrPort()
			if len(t.IP) == 0 {
				ap = netip.AddrPortFrom(netip.IPv6Unspecified(), ap.Port())
			}
			own = append(own, netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port()))
		}
	}
	var machine interfaces
	return func(host string, port int) bool {
		addr, err := netip.ParseAddr(host)
		if err != nil {
			return false
		}
		addr = addr.Unmap().WithZone("")
		for _, o := range own {
			if int(o.Port()) != port {
				continue
			}
			if o.Addr() == addr || o.Addr().IsUnspecified() && machine.have(addr) {
				return true
			}
		}
		return false
	}
}

// interfacesFor is how long the addresses of the machine are believed.
const interfacesFor = 5 * time.Second

// interfaces know the machine's own addresses.
type interfaces struct {
	mu    sync.Mutex
	read  time.Time
	addrs map[netip.Addr]struct{}
}

// have includes what leads to the machine itself without being any interface's:
// all of 127.0.0.0/8, and the unspecified address.
func (i *interfaces) have(a netip.Addr) bool {
	if a.IsLoopback() || a.IsUnspecified() {
		return true
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.addrs == nil || time.Since(i.read) > interfacesFor {
		i.reload()
	}
	_, ok := i.addrs[a]
	return ok
}

// reload keeps what was known when the system doesn't answer.
func (i *interfaces) reload() {
	i.read = time.Now()
	all, err := net.InterfaceAddrs()
	if err != nil {
		return
	}
	i.addrs = make(map[netip.Addr]struct{}, len(all))
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok {
			if addr, ok := netip.AddrFromSlice(n.IP); ok {
				i.addrs[addr.Unmap()] = struct{}{}
			}
		}
	}
}
