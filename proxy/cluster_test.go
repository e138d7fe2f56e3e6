package proxy

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/mapping"
)

// recorder knows which back ends are serving whom, and notes who is on two.
type recorder struct {
	mu      sync.Mutex
	active  map[string]map[string]int // by user, by back end
	overlap []string
}

func (r *recorder) login(user, host string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.active == nil {
		r.active = map[string]map[string]int{}
	}
	if r.active[user] == nil {
		r.active[user] = map[string]int{}
	}
	r.active[user][host]++
	for other, n := range r.active[user] {
		if other != host && n > 0 {
			r.overlap = append(r.overlap, fmt.Sprintf("%s is on %s and %s", user, other, host))
		}
	}
}

func (r *recorder) logout(user, host string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active[user][host]--
}

func (r *recorder) overlaps() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.overlap
}

// fakeBackend listens on an address of its own and takes "LOGIN user" lines.
func fakeBackend(t testing.TB, r *recorder, host string) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Skip("no second loopback address: ", err)
	}
	var sessions sync.WaitGroup
	sessions.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			sessions.Go(func() { serveFake(nc, r, host) })
		}
	})
	t.Cleanup(func() { l.Close(); sessions.Wait() })
	return l.Addr().(*net.TCPAddr).Port
}

func serveFake(nc net.Conn, r *recorder, host string) {
	defer nc.Close()
	line := make([]byte, 0, 100)
	one := make([]byte, 1)
	for {
		if _, err := nc.Read(one); err != nil {
			return
		}
		if line = append(line, one[0]); one[0] == '\n' {
			break
		}
	}
	user := strings.TrimSpace(strings.TrimPrefix(string(line), "LOGIN "))
	r.login(user, host)
	defer r.logout(user, host)
	fmt.Fprintf(nc, "OK %s\r\n", host)
	for { // until the client goes, echoing
		n, err := nc.Read(one)
		if err != nil {
			return
		}
		_, _ = nc.Write(one[:n])
	}
}

// movable is a map whose answers a test changes.
type movable struct {
	mu    sync.Mutex
	hosts map[string]mapping.Route
}

func (m *movable) move(user string, r mapping.Route) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hosts == nil {
		m.hosts = map[string]mapping.Route{}
	}
	m.hosts[user] = r
}

func (m *movable) Map(_ context.Context, user string) (mapping.Route, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.hosts[user]
	if !ok {
		return r, mapping.ErrNotMapped
	}
	return r, nil
}

// cluster is a front end with two fake back ends, A and B.
type cluster struct {
	*Front
	*recorder
	movable
	cache *mapping.Cache
	a, b  mapping.Route
}

func newCluster(t testing.TB) *cluster {
	t.Helper()
	c := &cluster{recorder: &recorder{}}
	for host, r := range map[string]*mapping.Route{"127.0.0.1": &c.a, "127.0.0.2": &c.b} {
		*r = mapping.Route{Host: host, Port: fakeBackend(t, c.recorder, host), TLS: mapping.TLSNone}
	}
	c.cache = mapping.NewCache(&c.movable, mapping.CacheOptions{})
	c.Front = &Front{Mapper: c.cache, Sessions: &Sessions{Farewell: time.Minute}}
	return c
}

var clientAddr = netip.MustParseAddrPort("192.0.2.1:1234")

// login logs a user in and returns where.
func (c *cluster) login(ctx context.Context, user string) (*Link, string, error) {
	l, err := c.Reach(ctx, user, Client{Protocol: IMAP, Remote: clientAddr, Session: "id"})
	if err != nil {
		return nil, "", err
	}
	_, _ = l.WriteString("LOGIN " + l.User() + "\r\n")
	line, err := l.ReadLine(100)
	if err != nil {
		l.Close()
		return nil, "", err
	}
	return l, strings.TrimSpace(strings.TrimPrefix(string(line), "OK ")), nil
}

// mustLogin is login that must lead somewhere.
func (c *cluster) mustLogin(t *testing.T, user, host string) *Link {
	t.Helper()
	l, at, err := c.login(t.Context(), user)
	require.NoError(t, err)
	require.Equal(t, host, at)
	return l
}

func (c *cluster) count() int { return len(slices.Collect(c.Sessions.List())) }

// empty waits until all sessions have ended.
func (c *cluster) empty(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return len(c.Sessions.taken()) == 0 }, 30*time.Second, time.Millisecond)
}
