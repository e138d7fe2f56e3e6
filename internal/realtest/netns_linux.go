package realtest

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Host is a machine of its own, as far as networks go: a network namespace in
// this process, joined with the test's by a cable. See Alone.
type Host struct {
	Addr string // of the host, at its end of the cable
	t    testing.TB
	name string   // of the test's end
	ns   *os.File // nil until it is made
}

// cable is what the host calls its end.
const cable = "eth0"

// NewHost makes a host. n, from 1 to 250, tells it from others of the test.
func NewHost(t testing.TB, n int) *Host {
	t.Helper()
	h := &Host{t: t, Addr: fmt.Sprintf("10.77.%d.2", n), name: fmt.Sprint("host", n)}
	h.must(onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		var err error
		if h.ns, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return err
		}
		return ip("link", "set", "lo", "up")
	}))
	t.Cleanup(func() { h.ns.Close() })
	here, there := fmt.Sprintf("10.77.%d.1", n), h.Addr
	const hereMAC, thereMAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
	h.must(ip("link", "add", "name", h.name, "address", hereMAC, "type", "veth", "peer", "name", h.name+"x", "address", thereMAC))
	t.Cleanup(func() { _ = ip("link", "del", h.name) })
	h.must(ip("link", "set", h.name+"x", "name", cable, "netns", fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), h.ns.Fd())))
	h.must(ip("addr", "add", here+"/24", "dev", h.name))
	h.must(ip("link", "set", h.name, "up"))
	h.mustThere("addr", "add", there+"/24", "dev", cable)
	h.mustThere("link", "set", cable, "up")
	// As behind a router, nobody notices by ARP that a host is silent.
	h.must(ip("neigh", "replace", there, "lladdr", thereMAC, "nud", "permanent", "dev", h.name))
	h.mustThere("neigh", "replace", here, "lladdr", hereMAC, "nud", "permanent", "dev", cable)
	return h
}

// Listen listens on a port of the host.
func (h *Host) Listen(port int) net.Listener {
	h.t.Helper()
	var l net.Listener
	h.must(h.do(func() (err error) {
		l, err = net.Listen("tcp", fmt.Sprintf("%s:%d", h.Addr, port))
		return err
	}))
	return l
}

// PullOut takes the cable out of the host, whose interface is down then; PlugIn
// puts it in again.
func (h *Host) PullOut() { h.t.Helper(); h.mustThere("link", "set", cable, "down") }

// PlugIn ends PullOut.
func (h *Host) PlugIn() { h.t.Helper(); h.mustThere("link", "set", cable, "up") }

// Unplug takes the cable out at the test's end, where nothing leads to the host
// then; Replug puts it in again.
func (h *Host) Unplug() { h.t.Helper(); h.must(ip("link", "set", h.name, "down")) }

// Replug ends Unplug.
func (h *Host) Replug() { h.t.Helper(); h.must(ip("link", "set", h.name, "up")) }

// Drop loses all packets, either way, and tells nobody; Pass ends that.
func (h *Host) Drop() {
	h.t.Helper()
	h.must(run(context.Background(), "tc", "qdisc", "replace", "dev", h.name, "root", "blackhole"))
	h.must(h.do(func() error {
		return run(context.Background(), "tc", "qdisc", "replace", "dev", cable, "root", "blackhole")
	}))
}

// Pass ends Drop.
func (h *Host) Pass() {
	h.t.Helper()
	h.must(run(context.Background(), "tc", "qdisc", "del", "dev", h.name, "root"))
	h.must(h.do(func() error { return run(context.Background(), "tc", "qdisc", "del", "dev", cable, "root") }))
}

func (h *Host) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatalf("%s: %v", strings.TrimSpace(h.name), err)
	}
}

// mustThere runs ip on the host.
func (h *Host) mustThere(args ...string) {
	h.t.Helper()
	h.must(h.do(func() error { return ip(args...) }))
}

// do calls f on a thread that is on the host: sockets that f makes are there
// for good, whoever uses them, and so are programs that it starts.
func (h *Host) do(f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(h.ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("setns: %w", err)
		}
		return f()
	})
}

// onThread calls f on a thread of its own, which is thrown away.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		done <- f()
	}()
	return <-done
}

func ip(args ...string) error { return run(context.Background(), "ip", args...) }
