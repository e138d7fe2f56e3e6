package proxy

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// TestP18EachSourceAddressHasAllPortsForEachBackEnd is in a network of
// its own, in which there are only ten ports for a source address: two
// addresses carry twenty sessions to one back end, and twenty to another at the
// same time.
func TestP18EachSourceAddressHasAllPortsForEachBackEnd(t *testing.T) {
	if !realtest.Alone(t) {
		return
	}
	require.NoError(t, os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("40000 40009"), 0))
	sources := []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")}
	for _, address := range []string{"127.0.0.1:30001", "127.0.0.1:30002"} { // none of the ten
		l, err := net.Listen("tcp", address)
		require.NoError(t, err)
		host := fakeHostOn(t, l, greet)
		f := frontTo(host.route, Backend{Sources: sources})
		seen := map[string]bool{}
		for range 20 {
			seen[reach(t, f).nc.LocalAddr().String()] = true
		}
		require.Len(t, seen, 20)
		require.ErrorIs(t, requireUnavailable(t, f), syscall.EADDRNOTAVAIL)
	}
}

// TestP30ConnectionsNoticeThatAHostHasVanished by options that the system has:
// what they are good for is proved in cut networks, by the proxies.
func TestConnectionsNoticeThatAHostHasVanished(t *testing.T) {
	host := newFakeHost(t, greet)
	for _, c := range []struct{ readWrite, confirmed, keepAlive time.Duration }{
		{0, 400 * time.Second, 100 * time.Second},
		{20 * time.Second, 20 * time.Second, 5 * time.Second},
		{time.Millisecond, time.Second, time.Second},
	} {
		l := reach(t, frontTo(host.route, Backend{ReadWrite: c.readWrite}))
		raw, err := l.nc.(syscall.Conn).SyscallConn()
		require.NoError(t, err)
		require.NoError(t, raw.Control(func(fd uintptr) {
			option := func(level, name int) int {
				n, err := unix.GetsockoptInt(int(fd), level, name)
				require.NoError(t, err)
				return n
			}
			require.NotZero(t, option(unix.SOL_SOCKET, unix.SO_KEEPALIVE))
			require.Equal(t, int(c.confirmed.Milliseconds()), option(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT))
			require.Equal(t, int(c.keepAlive.Seconds()), option(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE))
			require.Equal(t, int(c.keepAlive.Seconds()), option(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL))
		}))
	}
}
