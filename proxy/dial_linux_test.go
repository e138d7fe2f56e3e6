package proxy

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const inNamespace = "POSTHOUSE_TEST_PORTS"

// TestP18EachSourceAddressHasAllPortsForEachBackEnd runs itself in a network of
// its own, in which there are only ten ports for a source address: two
// addresses carry twenty sessions to one back end, and twenty to another at the
// same time.
func TestP18EachSourceAddressHasAllPortsForEachBackEnd(t *testing.T) {
	if os.Getenv(inNamespace) == "" {
		runInNamespace(t)
		return
	}
	tenPorts(t)
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

func runInNamespace(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if len(out) == 0 || bytes.Contains(out, []byte("--- SKIP")) {
		t.Skipf("no network of its own: %v %s", err, out)
	}
	require.NoError(t, err, "%s", out)
}

func tenPorts(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	require.NoError(t, err)
	lo.SetUint16(unix.IFF_UP)
	err = unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
	if err == nil {
		err = os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("40000 40009"), 0)
	}
	if err != nil {
		t.Skip("network can't be set up: ", err)
	}
}
