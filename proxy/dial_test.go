package proxy

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/posthouse-mail/posthouse/listener"
	"github.com/posthouse-mail/posthouse/mapping"
)

// fakeHost is a back end of which a test says what it does.
type fakeHost struct {
	net.Listener
	route mapping.Route
}

// newFakeHost serves each connection in a goroutine of its own.
func newFakeHost(t *testing.T, serve func(net.Conn)) *fakeHost {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return fakeHostOn(t, l, serve)
}

func fakeHostOn(t *testing.T, l net.Listener, serve func(net.Conn)) *fakeHost {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				serve(nc)
			}()
		}
	}()
	return &fakeHost{l, routeTo(l.Addr())}
}

func routeTo(a net.Addr) mapping.Route {
	ap := a.(*net.TCPAddr).AddrPort()
	return mapping.Route{Host: ap.Addr().Unmap().String(), Port: int(ap.Port()), TLS: mapping.TLSNone}
}

// greet says hello and waits for the end.
func greet(nc net.Conn) {
	_, _ = io.WriteString(nc, "hello\r\n")
	_, _ = io.Copy(io.Discard, nc)
}

func frontTo(route mapping.Route, b Backend) *Front {
	return &Front{
		Mapper:   mapping.MapperFunc(func(context.Context, string) (mapping.Route, error) { return route, nil }),
		Backends: func(mapping.Route) Backend { return b },
	}
}

func testClient() Client {
	return Client{
		Protocol: IMAP, Session: "abc123",
		Remote: netip.MustParseAddrPort("192.0.2.7:1234"), Local: netip.MustParseAddrPort("198.51.100.1:143"),
	}
}

// reach returns a link on which the greeting was read.
func reach(t *testing.T, f *Front) *Link {
	t.Helper()
	l, err := f.Reach(t.Context(), "alice", testClient())
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	line, err := l.ReadLine(100)
	require.NoError(t, err)
	require.Equal(t, "hello\r\n", string(line))
	return l
}

func requireUnavailable(t *testing.T, f *Front) error {
	t.Helper()
	_, err := f.Reach(t.Context(), "alice", testClient())
	require.ErrorIs(t, err, ErrUnavailable)
	require.NotErrorIs(t, err, mapping.ErrNotMapped)
	return err
}

func TestP18SourceAddressesAreUsedInTurn(t *testing.T) {
	host := newFakeHost(t, func(nc net.Conn) {
		_, _ = io.WriteString(nc, "hello\r\n"+nc.RemoteAddr().String()+"\r\n")
	})
	f := frontTo(host.route, Backend{Sources: []netip.Addr{
		netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("::1"), netip.MustParseAddr("127.0.0.3"),
		netip.MustParseAddr("::ffff:127.0.0.4"), // only those of its family
	}})
	seen := map[string]int{}
	for range 12 {
		line, err := reach(t, f).ReadLine(100)
		require.NoError(t, err)
		seen[netip.MustParseAddrPort(string(line[:len(line)-2])).Addr().String()]++
	}
	require.Len(t, seen, 3)
	for source, n := range seen {
		require.GreaterOrEqual(t, n, 3, source)
	}
}

func TestP18ASourceAddressThatIsUsedUpIsPassedOver(t *testing.T) {
	host := newFakeHost(t, greet)
	used := netip.MustParseAddr("198.51.100.9") // not this machine's: the same error
	f := frontTo(host.route, Backend{Sources: []netip.Addr{used, used, netip.MustParseAddr("127.0.0.2")}})
	for range 6 {
		reach(t, f)
	}
	f = frontTo(host.route, Backend{Sources: []netip.Addr{used}})
	f.Health = quietHealth()
	for range 10 { // and no fault of the back end's
		requireUnavailable(t, f)
	}
	require.Equal(t, Up, f.Health.List()[0].State)
}

func TestWithoutASourceOfItsFamilyABackEndIsNotReached(t *testing.T) {
	host := newFakeHost(t, greet)
	require.ErrorIs(t, requireUnavailable(t, frontTo(host.route, Backend{Sources: []netip.Addr{netip.IPv6Loopback()}})), errNoSource)
}

func TestNameOfABackEndIsResolvedAndSourcesChooseAmongItsAddresses(t *testing.T) {
	host := newFakeHost(t, greet)
	host.route.Host = "LocalHost"
	l := reach(t, frontTo(host.route, Backend{Sources: []netip.Addr{netip.MustParseAddr("127.0.0.2")}}))
	require.Equal(t, "127.0.0.2", routeTo(l.nc.LocalAddr()).Host)
	requireUnavailable(t, frontTo(mapping.Route{Host: "nowhere.invalid"}, Backend{}))
}

func TestPortFollowsTheProtocolAndTheTLSModeThatHolds(t *testing.T) {
	for protocol, want := range map[Protocol][2]string{IMAP: {"143", "993"}, POP3: {"110", "995"}, Submission: {"587", "465"}, ManageSieve: {"4190", "4190"}} {
		for i, mode := range []mapping.TLSMode{mapping.TLSStart, mapping.TLSImplicit} {
			var asked string
			f := frontTo(mapping.Route{Host: "192.0.2.1"}, Backend{TLS: mode})
			f.Own = func(host string, port int) bool { asked = strconv.Itoa(port); return true }
			c := testClient()
			c.Protocol = protocol
			_, err := f.Reach(t.Context(), "alice", c)
			require.ErrorIs(t, err, ErrLoop)
			require.Equal(t, want[i], asked)
		}
	}
}

func TestX05P35DeadBackEndIsToldWithinTheBudget(t *testing.T) {
	for name, route := range map[string]mapping.Route{"refuses": refusing(t), "black hole": blackHole(t)} {
		t.Run(name, func(t *testing.T) {
			f := frontTo(route, Backend{Connect: time.Second})
			f.Health = quietHealth()
			began := time.Now()
			for range f.Health.failures() {
				requireUnavailable(t, f)
			}
			require.Less(t, time.Since(began), time.Minute)
			require.Equal(t, Down, f.Health.List()[0].State)
		})
	}
}

func TestX05BackEndThatAcceptsAndIsSilentIsCutAtTheEndOfTheBudget(t *testing.T) {
	host := newFakeHost(t, func(nc net.Conn) { _, _ = io.Copy(io.Discard, nc) })
	f := frontTo(host.route, Backend{Connect: time.Second})
	f.Health = quietHealth()
	l, err := f.Reach(t.Context(), "alice", testClient())
	require.NoError(t, err)
	defer l.Close()
	l.SetIdleTimeout(time.Hour)
	_, err = l.ReadLine(100)
	require.Error(t, err)
	require.Equal(t, 1, f.Health.List()[0].Failures)
}

func TestAfterTheLoginNoBudgetEndsTheLink(t *testing.T) {
	release := make(chan struct{})
	host := newFakeHost(t, func(nc net.Conn) {
		_, _ = io.WriteString(nc, "hello\r\n")
		<-release
		_, _ = io.WriteString(nc, "later\r\n")
	})
	f := frontTo(host.route, Backend{Connect: 500 * time.Millisecond})
	l := reach(t, f)
	l.LoggedIn()
	require.False(t, l.budget.Stop(), "it was stopped")
	close(release)
	line, err := l.ReadLine(100)
	require.NoError(t, err)
	require.Equal(t, "later\r\n", string(line))
}

func TestX14DeadBackEndIsNotConnectedToWhileItIsDown(t *testing.T) {
	f := frontTo(refusing(t), Backend{})
	f.Health = quietHealth()
	f.Health.Interval = time.Hour
	var tried atomic.Int32
	f.Own = func(string, int) bool { tried.Add(1); return false } // by Reach once, and for each address connected to
	for range 1000 {
		requireUnavailable(t, f)
	}
	require.EqualValues(t, 1000+f.Health.failures(), tried.Load())
}

func TestConnectionsToAHostAreLimitedAndExcessIsQueuedBriefly(t *testing.T) {
	host := newFakeHost(t, greet)
	f := frontTo(host.route, Backend{Connections: 2, Queue: time.Minute})
	first, second := reach(t, f), reach(t, f)
	queued := make(chan *Link)
	go func() {
		l, err := f.Reach(context.Background(), "alice", testClient())
		if err != nil {
			close(queued)
			return
		}
		queued <- l
	}()
	require.Eventually(t, func() bool { return f.waiting(host.route.Host) == 1 }, time.Minute, time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := f.Reach(ctx, "alice", testClient()) // who goes away is not queued
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorIs(t, err, context.Canceled)
	first.Close()
	first.Close() // gives back once
	third := <-queued
	require.NotNil(t, third)

	f.Backends = func(mapping.Route) Backend { return Backend{Connections: 2, Queue: time.Millisecond} }
	requireUnavailable(t, f)
	second.Close()
	third.Close()
	require.Empty(t, f.slots.byHost, "nothing is remembered of a host without connections")
}

func (f *Front) waiting(host string) int {
	f.slots.mu.Lock()
	defer f.slots.mu.Unlock()
	return len(f.slots.byHost[host].waiting)
}

func TestMapThatFailsAndUserWithoutOneAreToldApart(t *testing.T) {
	f := &Front{Mapper: mapping.MapperFunc(func(_ context.Context, user string) (mapping.Route, error) {
		if user == "nobody" {
			return mapping.Route{}, mapping.ErrNotMapped
		}
		return mapping.Route{}, io.ErrUnexpectedEOF
	})}
	_, err := f.Reach(t.Context(), "nobody", testClient())
	require.ErrorIs(t, err, mapping.ErrNotMapped)
	require.NotErrorIs(t, err, ErrUnavailable)
	requireUnavailable(t, f)
}

func TestX10RouteThatLeadsNowhereIsUnavailableAndTriedNowhere(t *testing.T) {
	for _, host := range []string{"", "127.0.0.1", "host:99999", "one two", "0.0.0.0", "10.0.0.300", "localhost"} {
		f := frontTo(mapping.Route{Host: host, Port: 143}, Backend{})
		f.Mapper = mapping.NewChecked(f.Mapper, mapping.CheckedOptions{Logger: slog.New(slog.DiscardHandler)})
		f.Own = func(string, int) bool { t.Error(host); return false }
		require.ErrorIs(t, requireUnavailable(t, f), mapping.ErrBadRoute, host)
	}
}

func TestX04P28OwnListenerIsRefused(t *testing.T) {
	l, err := listener.Listen(t.Context(), listener.Config{Address: ":0"})
	require.NoError(t, err)
	defer l.Close()
	specific := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9), Port: 1143}
	own := OwnListeners(l.Addr(), specific)
	port := l.Addr().(*net.TCPAddr).Port
	addrs, err := net.InterfaceAddrs()
	require.NoError(t, err)
	hosts := []string{"127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "localhost", "0.0.0.0"}
	for _, a := range addrs {
		if n := a.(*net.IPNet); !n.IP.IsLinkLocalUnicast() {
			hosts = append(hosts, n.IP.String())
		}
	}
	for _, host := range hosts {
		f := frontTo(mapping.Route{Host: host, Port: port, TLS: mapping.TLSNone}, Backend{})
		f.Own, f.Health = own, quietHealth()
		_, err := f.Reach(t.Context(), "alice", testClient())
		require.ErrorIs(t, err, ErrLoop, host)
		require.NotErrorIs(t, err, ErrUnavailable, host)
	}
	require.True(t, own("127.0.0.9", 1143))
	require.False(t, own("127.0.0.8", 1143))
	require.False(t, own("127.0.0.1", port+1))
	require.False(t, own("192.0.2.1", port))
}

func TestX04P28TheLastHopIsRefused(t *testing.T) {
	host := newFakeHost(t, greet)
	f := frontTo(host.route, Backend{})
	c := testClient()
	for hops, left := range map[int]int{0: MaxHops - 1, 2: 1, 5: 4, 200: MaxHops - 1} {
		c.Hops = hops
		l, err := f.Reach(t.Context(), "alice", c)
		require.NoError(t, err)
		require.Equal(t, left, l.Hops())
		l.Close()
	}
	for _, hops := range []int{1, -1} {
		c.Hops = hops
		_, err := f.Reach(t.Context(), "alice", c)
		require.ErrorIs(t, err, ErrLoop)
	}
}

// TestX04P28ACircleOfMapsEndsAfterMaxHops lets two front ends lead to each
// other.
func TestX04P28ACircleOfMapsEndsAfterMaxHops(t *testing.T) {
	var passed atomic.Int32
	ended := make(chan error, 1)
	var fronts [2]*Front
	var routes [2]mapping.Route
	for i := range fronts {
		inner, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		l := listener.Wrap(inner, listener.Config{Proxy: listener.ProxyRequired, ProxyFrom: listener.MustParseIPSet("127.0.0.1")})
		routes[i] = fakeHostOn(t, l, func(nc net.Conn) {
			passed.Add(1)
			c := testClient()
			c.Hops = listener.ProxiedOf(nc).Hops
			next, err := fronts[i].Reach(context.Background(), "alice", c)
			if err != nil {
				ended <- err
				return
			}
			defer next.Close()
			_, _ = next.ReadLine(100)
		}).route
	}
	for i := range fronts {
		fronts[i] = frontTo(routes[1-i], Backend{Tell: TellPROXY})
	}
	l, err := fronts[0].Reach(t.Context(), "alice", testClient())
	require.NoError(t, err)
	defer l.Close()
	require.ErrorIs(t, <-ended, ErrLoop)
	require.EqualValues(t, MaxHops-1, passed.Load())
}

// refusing returns a route to a port on which nobody listens.
func refusing(t *testing.T) mapping.Route {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return routeTo(l.Addr())
}

// blackHole returns a route to a port that answers no more: its queue of
// connections that nobody accepts is full.
func blackHole(t *testing.T) mapping.Route {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, unix.Listen(fd, 0))
	name, err := unix.Getsockname(fd)
	require.NoError(t, err)
	addr := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(name.(*unix.SockaddrInet4).Port)))
	for range 10 {
		nc, err := net.DialTimeout("tcp", addr.String(), time.Second)
		if err != nil {
			return routeTo(addr)
		}
		t.Cleanup(func() { nc.Close() })
	}
	t.Skip("the queue of this system is never full")
	return mapping.Route{}
}
