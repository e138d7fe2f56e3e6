package proxy

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/posthouse-mail/posthouse/mapping"
)

// everyone fits all sessions.
func everyone(Session) bool { return true }

func TestSessionsAreListedUntilTheBackEndHasEndedThem(t *testing.T) {
	c := newCluster(t)
	c.move("alice@example.test", c.a)
	l := c.mustLogin(t, "Alice@Example.Test", c.a.Host)
	all := slices.Collect(c.Sessions.List())
	require.Len(t, all, 1)
	require.WithinDuration(t, time.Now(), all[0].Since, time.Minute)
	all[0].Since = time.Time{}
	require.Equal(t, Session{
		ID: "id", User: "alice@example.test", Protocol: IMAP, Host: c.a.Host, Remote: clientAddr.Addr(),
	}, all[0])
	l.Close()
	c.empty(t)
}

func TestKickEndsThoseWhoFit(t *testing.T) {
	c := newCluster(t)
	c.move("alice", c.a)
	c.move("bob", c.b)
	alice, bob := c.mustLogin(t, "alice", c.a.Host), c.mustLogin(t, "bob", c.b.Host)
	defer bob.Close()
	n, err := c.Sessions.Kick(t.Context(), func(s Session) bool { return s.User == "alice" }, 0)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, 1, c.count(), "bob stays, and alice's back end has ended her session when Kick returns")
	_, err = alice.ReadLine(10)
	require.Error(t, err)
	alice.Close()
}

func TestX11NextLoginGoesToTheNewBackEndAndTheOldSessionIsKicked(t *testing.T) {
	c := newCluster(t)
	c.move("alice", c.a)
	old := c.mustLogin(t, "alice", c.a.Host)
	c.move("alice", c.b)
	again := c.mustLogin(t, "alice", c.a.Host) // as remembered: same back end, no harm
	c.cache.Invalidate("alice")
	l := c.mustLogin(t, "alice", c.b.Host)
	for _, kicked := range []*Link{old, again} {
		_, err := kicked.ReadLine(10)
		require.Error(t, err)
		require.True(t, kicked.seat.wasKicked())
		kicked.Close()
	}
	l.Close()
	c.empty(t)
	require.Empty(t, c.overlaps())
}

func TestX11AliasesAreOneUser(t *testing.T) {
	c := newCluster(t)
	c.a.User, c.b.User = "a.smith", "A.Smith"
	c.move("alice", c.a)
	c.move("postmaster", c.b)
	old := c.mustLogin(t, "alice", c.a.Host)
	l := c.mustLogin(t, "postmaster", c.b.Host)
	require.True(t, old.seat.wasKicked())
	old.Close()
	l.Close()
}

func TestX11LoginMayWaitForTheOldSessions(t *testing.T) {
	c := newCluster(t)
	c.Sessions.Conflict = WaitOld
	c.Sessions.MaxWait = 50 * time.Millisecond
	c.move("alice", c.a)
	old := c.mustLogin(t, "alice", c.a.Host)
	c.move("alice", c.b)
	c.cache.InvalidateAll()
	_, _, err := c.login(t.Context(), "alice")
	require.ErrorIs(t, err, ErrUnavailable)
	c.Sessions.MaxWait = time.Minute
	landed := make(chan *Link)
	go func() {
		l, _, _ := c.login(context.Background(), "alice")
		landed <- l
	}()
	require.Eventually(t, func() bool { return c.Sessions.waitingNow() == 1 }, 30*time.Second, time.Millisecond)
	require.False(t, old.seat.wasKicked())
	old.Close()
	l := <-landed
	require.Equal(t, c.b.Host, l.Route().Host)
	l.Close()
	require.Empty(t, c.overlaps())
}

func (s *Sessions) waitingNow() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting
}

func TestP40NoMomentOnTwoBackEnds(t *testing.T) {
	c := newCluster(t)
	const users, workers = 4, 12
	for i := range users {
		c.move(fmt.Sprint("user", i), c.a)
	}
	end := time.Now().Add(2 * time.Second)
	var all sync.WaitGroup
	var logins, refused atomic.Int64
	for range workers {
		all.Go(func() {
			for time.Now().Before(end) {
				l, _, err := c.login(context.Background(), fmt.Sprint("user", rand.IntN(users)))
				if err != nil {
					refused.Add(1)
					continue
				}
				logins.Add(1)
				time.Sleep(rand.N(3 * time.Millisecond))
				l.Close()
			}
		})
	}
	all.Go(func() { // moves users, with and without the ceremony
		for i := 0; time.Now().Before(end); i++ {
			user := fmt.Sprint("user", rand.IntN(users))
			to := []mapping.Route{c.a, c.b}[i%2]
			if i%3 == 0 {
				c.Sessions.Delay(user, time.Now().Add(time.Second))
				_, _ = c.Sessions.Kick(context.Background(), func(s Session) bool { return s.User == user }, 0)
			}
			c.move(user, to)
			c.cache.Invalidate(user)
			c.Sessions.Delay(user, time.Time{})
			time.Sleep(time.Millisecond)
		}
	})
	all.Go(func() {
		for time.Now().Before(end) {
			_, _ = c.Sessions.Kick(context.Background(), func(Session) bool { return rand.IntN(4) == 0 }, time.Millisecond)
			time.Sleep(time.Millisecond)
		}
	})
	all.Wait()
	c.empty(t)
	require.Empty(t, c.overlaps())
	t.Logf("%d logins, %d cut off or refused", logins.Load(), refused.Load())
	require.Greater(t, logins.Load(), int64(20))
}

func TestP40ALoginOnItsWayIsKickedAndBeginsAnew(t *testing.T) {
	c := newCluster(t)
	c.move("alice", c.a)
	v := c.Sessions.visit("alice", Client{Protocol: IMAP})
	route, err := c.cache.Map(t.Context(), "alice")
	require.NoError(t, err)
	k, err := c.Sessions.admit(t.Context(), v, route)
	require.NoError(t, err)
	ctx, cut := context.WithCancelCause(t.Context())
	defer cut(nil)
	k.cutBy(cut)
	kicked := make(chan int)
	go func() {
		n, _ := c.Sessions.Kick(context.Background(), everyone, 0)
		kicked <- n
	}()
	<-ctx.Done()
	require.ErrorIs(t, context.Cause(ctx), ErrKicked)
	_, err = c.take(t.Context(), &Link{route: route, client: v.client, backend: c.backend(route), seat: k})
	require.ErrorIs(t, err, errAgain)
	require.Equal(t, 1, <-kicked)
	require.Empty(t, c.Sessions.taken())
}

func TestP38KickIsSpreadEvenly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Sessions
		const n = 1000
		var ended []time.Duration
		var mu sync.Mutex
		start := time.Now()
		for i := range n {
			k, err := s.admit(t.Context(), s.visit(fmt.Sprint("user", i), Client{Protocol: IMAP}), mapping.Route{Host: "a"})
			require.NoError(t, err)
			near, far := net.Pipe()
			k.hold(near)
			go func() {
				_, _ = far.Read(make([]byte, 1))
				mu.Lock()
				defer mu.Unlock()
				ended = append(ended, time.Since(start))
			}()
		}
		got, err := s.Kick(t.Context(), everyone, 10*time.Second)
		require.NoError(t, err)
		require.Equal(t, n, got)
		synctest.Wait()
		require.Len(t, ended, n)
		perSecond := make([]int, 10)
		for _, d := range ended {
			perSecond[int(d/time.Second)]++
		}
		for _, count := range perSecond {
			require.InDelta(t, n/10, count, 1)
		}
	})
}

func TestKickEndsWithItsContext(t *testing.T) {
	var s Sessions
	for range 2 {
		k, err := s.admit(t.Context(), s.visit("alice", Client{Protocol: IMAP}), mapping.Route{Host: "a"})
		require.NoError(t, err)
		defer k.abandon()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	n, err := s.Kick(ctx, everyone, time.Hour)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, 2, n)
}

func TestPortsTellBackEndsApartWithinAProtocol(t *testing.T) {
	var s Sessions
	sit := func(p Protocol, port int) error {
		_, held, err := s.sit(s.visit("alice", Client{Protocol: p}), "alice", mapping.Route{Host: "A.example.", Port: port})
		if held != nil {
			return errAgain
		}
		return err
	}
	require.NoError(t, sit(IMAP, 143))
	require.NoError(t, sit(POP3, 110))
	require.NoError(t, sit(IMAP, 0))
	require.ErrorIs(t, sit(IMAP, 1143), errAgain)
}

func TestNilSessionsKnowNobody(t *testing.T) {
	var s *Sessions
	require.Empty(t, slices.Collect(s.List()))
	require.Empty(t, s.Delays())
	s.Delay("alice", time.Now().Add(time.Hour))
	n, err := s.Kick(t.Context(), everyone, 0)
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestABackEndThatDoesNotEndIsCut(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	far, err := l.Accept()
	require.NoError(t, err)
	defer far.Close()
	s := &Sessions{Farewell: 20 * time.Millisecond}
	k, err := s.admit(t.Context(), s.visit("alice", Client{Protocol: IMAP}), mapping.Route{Host: "a"})
	require.NoError(t, err)
	require.NoError(t, k.hold(near).Close())
	require.NoError(t, k.Close(), "again")
	<-k.left()
	require.Empty(t, s.taken())
}

// BenchmarkSessions reports what a session costs: in octets while it lasts, in
// time to begin and end it, and to list 100,000 of them.
func BenchmarkSessions(b *testing.B) {
	const n = 100_000
	b.Run("octets", func(b *testing.B) {
		for b.Loop() {
			var s Sessions
			names := make([]string, n)
			for i := range names {
				names[i] = fmt.Sprintf("user%06d@example.test", i)
			}
			before := heap()
			for _, name := range names {
				_, _ = s.admit(b.Context(), s.visit(name, Client{Protocol: IMAP, Session: "0123456789"}), mapping.Route{Host: "a"})
			}
			b.ReportMetric(float64(heap()-before)/n, "octets/session")
			start := time.Now()
			for range s.List() {
			}
			b.ReportMetric(float64(time.Since(start).Microseconds())/1000, "ms/list")
			runtime.KeepAlive(&s)
		}
	})
	b.Run("begin and end", func(b *testing.B) {
		var s Sessions
		var next atomic.Int64
		b.RunParallel(func(p *testing.PB) {
			name := fmt.Sprint("user", next.Add(1))
			for p.Next() {
				k, _ := s.admit(b.Context(), s.visit(name, Client{Protocol: IMAP}), mapping.Route{Host: "a"})
				k.abandon()
			}
		})
	})
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
