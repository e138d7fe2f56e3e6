package imap

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/realtest"
	"github.com/posthouse-mail/posthouse/internal/testcert"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/memory"
)

// cuts are the ways in which a back end is cut off, each with its end.
var cuts = []struct {
	name       string
	begin, end func(*realtest.Host)
}{
	{"packets are lost and nobody says so", (*realtest.Host).Drop, (*realtest.Host).Pass},
	{"the back end's interface is down", (*realtest.Host).PullOut, (*realtest.Host).PlugIn},
	{"the front end's interface is down", (*realtest.Host).Unplug, (*realtest.Host).Replug},
}

// cutCluster is a front end before two back ends on hosts of their own. Users
// with an "a" live on the first, others on the second, unless they have moved
// there.
type cutCluster struct {
	t        *testing.T
	a        *realtest.Host
	storeA   storage.Store
	storeB   storage.Store
	health   *proxy.Health
	sessions *proxy.Sessions
	addr     string

	mu    sync.Mutex
	moved map[string]bool
}

// The budgets of a cutCluster.
const (
	cutConnect  = 2 * time.Second // a login's
	cutInterval = time.Second     // of probes
	cutRamp     = 4 * time.Second
	cutSlack    = 20 * time.Second // for a machine that is busy
	cutPort     = 143
)

// newCutCluster makes one with hosts n and n+1.
func newCutCluster(t *testing.T, n int, readWrite time.Duration) *cutCluster {
	t.Helper()
	c := &cutCluster{
		t: t, a: realtest.NewHost(t, n), storeA: memory.New(), storeB: memory.New(),
		health: &proxy.Health{Interval: cutInterval, Ramp: cutRamp}, sessions: &proxy.Sessions{}, moved: make(map[string]bool),
	}
	b := realtest.NewHost(t, n+1)
	c.serve(c.a, c.storeA)
	c.serve(b, c.storeB)
	f := &proxy.Front{
		Health: c.health, Sessions: c.sessions,
		Mapper: mapping.MapperFunc(func(_ context.Context, user string) (mapping.Route, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			host := b.Addr
			if user[0] == 'a' && !c.moved[user] {
				host = c.a.Addr
			}
			mode := mapping.TLSNone
			if strings.HasSuffix(user, "-tls") {
				mode = mapping.TLSStart
			}
			return mapping.Route{Host: host, Port: cutPort, TLS: mode}, nil
		}),
	}
	withBackend(f, proxy.Backend{Connect: cutConnect, ReadWrite: readWrite, TLSConfig: testcert.Client()})
	c.addr = newProxy(t, f, nil)
	return c
}

func (c *cutCluster) serve(h *realtest.Host, store storage.Store) {
	s := quietServer(store)
	s.Auth = auth.AuthenticatorFunc(func(_ context.Context, c auth.Credentials) (auth.Identity, error) {
		return auth.Identity{User: c.User}, nil
	})
	startOn(c.t, s, h.Listen(cutPort))
}

// login logs a user in for good.
func (c *cutCluster) login(user string) *client {
	c.t.Helper()
	peer := dial(c.t, c.addr)
	require.NoError(c.t, peer.conn.SetDeadline(time.Now().Add(5*time.Minute)))
	peer.ok("LOGIN " + user + " pw")
	return peer
}

// idle logs a user in and has him wait for mail.
func (c *cutCluster) idle(user string) *client {
	c.t.Helper()
	peer := c.login(user)
	peer.ok("SELECT INBOX")
	peer.send("i IDLE\r\n")
	require.True(c.t, strings.HasPrefix(peer.line(), "+ "))
	return peer
}

// cutLetter is more than all buffers on its way hold.
var cutLetter = sync.OnceValue(func() string {
	return "Subject: long\r\n\r\n" + strings.Repeat("All of this must arrive, in its order.\r\n", 48<<20/40)
})

// fetching logs a user in and has him fetch a letter, of which he has read the
// beginning.
func (c *cutCluster) fetching(user string) *client {
	c.t.Helper()
	deliverTo(c.t, c.storeA, user, "INBOX", cutLetter())
	peer := c.login(user)
	peer.ok("SELECT INBOX")
	peer.send("f FETCH 1 BODY.PEEK[]\r\n")
	require.Equal(c.t, fmt.Sprintf("* 1 FETCH (BODY[] {%d}", len(cutLetter())), peer.line())
	peer.requireLetter(cutLetter()[:1<<20])
	return peer
}

// requireLetter reads a part of the letter.
func (c *client) requireLetter(want string) {
	c.t.Helper()
	got := make([]byte, len(want))
	_, err := io.ReadFull(c.in, got)
	require.NoError(c.t, err)
	require.True(c.t, string(got) == want)
}

// attempt returns what a user hears to his login, after which he is gone.
func (c *cutCluster) attempt(user string) string {
	nc, err := net.Dial("tcp", c.addr)
	if err != nil {
		return err.Error()
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(time.Minute))
	_, _ = io.WriteString(nc, "a LOGIN "+user+" pw\r\n")
	in := bufio.NewReader(nc)
	for {
		line, err := in.ReadString('\n')
		if answer, ok := strings.CutPrefix(line, "a "); ok {
			return strings.TrimSpace(answer)
		}
		if err != nil {
			return err.Error()
		}
	}
}

// attempts has so many users of the first back end log in at once, and returns
// how many could; the others must have heard that it is not available.
func (c *cutCluster) attempts(n int) (served int) {
	c.t.Helper()
	answers := make(chan string, n)
	for i := range n {
		go func() { answers <- c.attempt(fmt.Sprint("a", i)) }()
	}
	for range n {
		answer := <-answers
		if strings.HasPrefix(answer, "OK ") {
			served++
			continue
		}
		require.Equal(c.t, unavailable, answer)
	}
	return served
}

// ofA is what is thought of the first back end.
func (c *cutCluster) ofA() proxy.HostHealth {
	for _, h := range c.health.List() {
		if strings.HasPrefix(h.Address, c.a.Addr+":") {
			return h
		}
	}
	return proxy.HostHealth{}
}

// fall has users log in until the back end is down: the first one waits for as
// long as a login may take, and is told the truth.
func (c *cutCluster) fall() {
	c.t.Helper()
	for c.ofA().State != proxy.Down {
		began := time.Now()
		require.Equal(c.t, unavailable, c.attempt("a-new"))
		require.Less(c.t, time.Since(began), cutConnect+cutSlack)
	}
}

// requireFollowersAreToldAtOnce while the back end is down, however many they
// are, and that one probe at a time is made.
func (c *cutCluster) requireFollowersAreToldAtOnce() {
	c.t.Helper()
	began, before, told := time.Now(), c.ofA().Failures, 0
	for c.ofA().Failures < before+2 {
		require.Zero(c.t, c.attempts(100))
		told += 100
	}
	took, probes := time.Since(began), c.ofA().Failures-before
	require.LessOrEqual(c.t, probes, 1+int(took/cutInterval))
	require.Greater(c.t, told, 10*probes, "nobody but a probe waits")
}

// recovered waits until users are served again, which must take no longer than
// a probe's interval, and proves that they come back a few at a time.
func (c *cutCluster) recovered() {
	c.t.Helper()
	began := time.Now()
	for answer := ""; !strings.HasPrefix(answer, "OK "); answer = c.attempt("a-new") {
		require.Less(c.t, time.Since(began), cutInterval+cutConnect+cutSlack)
	}
	const users = 60
	since := c.ofA().Since
	served := c.attempts(users)
	require.GreaterOrEqual(c.t, served, 1)
	if time.Since(since) < cutRamp/4 { // not where the machine is busy
		require.Less(c.t, served, users/2)
	}
	require.Eventually(c.t, func() bool { return c.ofA().State == proxy.Up }, waitCut, 10*time.Millisecond)
	require.Equal(c.t, users, c.attempts(users))
}

const waitCut = time.Minute

// TestP35P38X14ABackEndIsCutOffAndTheNetworkHealsInTime: sessions live on, TCP
// having repaired what was lost, and users are served again within an interval.
func TestP35P38X14ABackEndIsCutOffAndTheNetworkHealsInTime(t *testing.T) {
	if !realtest.Alone(t) {
		return
	}
	for i, cut := range cuts {
		t.Run(cut.name, func(t *testing.T) {
			t.Parallel()
			c := newCutCluster(t, 1+2*i, 5*time.Minute)
			idle, fetching, secure, other := c.idle("a-idle"), c.fetching("a-fetch"), c.idle("a-tls"), c.idle("b-idle")
			cut.begin(c.a)
			c.fall()
			c.requireFollowersAreToldAtOnce()
			c.requireOthersNoticeNothing(other)
			for _, user := range []string{"a-idle", "a-tls"} {
				deliverTo(t, c.storeA, user, "INBOX", plainMessage)
			}
			cut.end(c.a)
			c.recovered()
			for _, peer := range []*client{idle, secure} {
				require.Equal(t, "* 1 EXISTS", peer.line())
			}
			fetching.requireLetter(cutLetter()[1<<20:])
			require.Equal(t, ")", fetching.line())
			require.Contains(t, fetching.line(), "f OK ")
		})
	}
}

// requireOthersNoticeNothing, users of the second back end.
func (c *cutCluster) requireOthersNoticeNothing(idle *client) {
	c.t.Helper()
	began := time.Now()
	for range 10 {
		require.Contains(c.t, c.attempt("b-new"), "OK ")
	}
	require.Less(c.t, time.Since(began), cutSlack)
	deliverTo(c.t, c.storeB, "b-idle", "INBOX", plainMessage)
	require.Regexp(c.t, `^\* \d+ EXISTS$`, idle.line())
}

// TestP37ABackEndThatStaysCutOffEndsItsSessions within Backend.ReadWrite and a
// quarter: those that wait for mail, in the middle of a letter, and with a
// command on its way. Nobody's seat is held.
func TestP37ABackEndThatStaysCutOffEndsItsSessions(t *testing.T) {
	if !realtest.Alone(t) {
		return
	}
	const readWrite = 4 * time.Second
	for i, cut := range cuts {
		t.Run(cut.name, func(t *testing.T) {
			t.Parallel()
			c := newCutCluster(t, 1+2*i, readWrite)
			idle, fetching, secure, other := c.idle("a-idle"), c.fetching("a-fetch"), c.idle("a-tls"), c.idle("b-idle")
			talking := c.login("a-talk")
			c.fetching("a-silent") // who reads no more
			cut.begin(c.a)
			began := time.Now()
			talking.send("t NOOP\r\n")
			rest := fetching.requireEnds()
			require.Less(t, len(rest), len(cutLetter())-1<<20)
			require.True(t, strings.HasPrefix(cutLetter()[1<<20:], rest), "not one octet that is not the letter's")
			for _, peer := range []*client{idle, secure, talking} {
				require.Empty(t, peer.requireEnds())
			}
			require.Eventually(t, func() bool { return c.seatsAtA() == 0 }, waitCut, 10*time.Millisecond)
			require.Less(t, time.Since(began), readWrite*5/4+cutSlack)

			c.move("a-idle")
			require.Contains(t, c.attempt("a-idle"), "OK ", "he can be served elsewhere")
			c.requireOthersNoticeNothing(other)
			c.fall()
			cut.end(c.a)
			c.recovered()
		})
	}
}

// requireEnds reads to the end, and returns what came before it.
func (c *client) requireEnds() string {
	c.t.Helper()
	rest, err := io.ReadAll(c.in)
	require.False(c.t, isTimeout(err), "the session still lives")
	return string(rest)
}

// seatsAtA counts the sessions on the first back end.
func (c *cutCluster) seatsAtA() (n int) {
	for s := range c.sessions.List() {
		if s.Host == c.a.Addr {
			n++
		}
	}
	return n
}

// move has a user live on the second back end.
func (c *cutCluster) move(user string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moved[user] = true
}
