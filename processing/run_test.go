package processing

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gosmtp "github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/queue"
	"github.com/posthouse-mail/posthouse/smtp/sender"
)

func says(code int, enhanced ...int) sender.Result {
	r := &mail.Reply{Code: code, Text: "so it is"}
	if len(enhanced) == 3 {
		r.Enhanced = gosmtp.EnhancedCode{enhanced[0], enhanced[1], enhanced[2]}
	}
	return sender.Result{Reply: r, Host: "mx.far.test"}
}

func TestScheduleDoublesThenStaysAndEnds(t *testing.T) {
	received := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := Schedule{Jitter: -1}
	now := received
	var delays []string
	for attempt := 1; ; attempt++ {
		at, ok := s.Next(attempt, received, now)
		if !ok {
			break
		}
		delays = append(delays, at.Sub(now).String())
		now = at
	}
	require.Equal(t, []string{"5m0s", "10m0s", "20m0s", "40m0s", "1h20m0s", "2h40m0s", "4h0m0s", "4h0m0s"}, delays[:8])
	require.Equal(t, received.Add(5*24*time.Hour), now, "the last attempt is at the end")

	jittered := Schedule{}
	seen := map[time.Duration]bool{}
	for range 100 {
		at, _ := jittered.Next(1, received, received)
		d := at.Sub(received)
		require.InDelta(t, float64(5*time.Minute), float64(d), float64(31*time.Second))
		seen[d] = true
	}
	require.Greater(t, len(seen), 50)
}

func TestRetriesUntilItWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		start := time.Now()
		w.post.answer = func(_ string, n int) sender.Result {
			if n < 3 {
				return says(450, 4, 2, 1)
			}
			return says(250)
		}
		w.handle(t, mailTo(t, "alice@here.test", "x@far.test"))
		w.run(func() { time.Sleep(2 * time.Hour) })
		require.Len(t, w.post.parcels(), 1)
		require.Equal(t, 35*time.Minute, w.post.parcels()[0].at.Sub(start), "after 5, 10 and 20 minutes")
		require.Empty(t, w.queued(t))
		require.Empty(t, w.inbox(t, "alice@here.test"), "nothing to report")
	})
}

func TestGivesUpAfterItsLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		start := time.Now()
		w.post.answer = func(string, int) sender.Result { return says(451, 4, 4, 1) }
		w.handle(t, mailTo(t, "alice@here.test", "x@far.test"))
		w.run(func() { time.Sleep(6 * 24 * time.Hour) })
		require.Empty(t, w.queued(t))
		reports := w.inbox(t, "alice@here.test")
		require.Len(t, reports, 1)
		require.Contains(t, reports[0], "Status: 5.4.7")
		require.Contains(t, reports[0], "in time: 451 4.4.1 so it is")
		require.Contains(t, reports[0], "Date: "+start.Add(5*24*time.Hour).Format(dateLayout))
	})
}

func TestPermanentRefusalBouncesAtOnceOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.post.answer = func(to string, n int) sender.Result {
			if strings.HasPrefix(to, "no") {
				return says(550, 5, 1, 1)
			}
			if strings.HasPrefix(to, "later") && n == 0 {
				return says(450, 4, 2, 1)
			}
			return says(250)
		}
		w.handle(t, mailTo(t, "alice@here.test", "no@far.test", "later@far.test", "yes@far.test"))
		w.run(func() {
			synctest.Wait()
			require.Equal(t, []string{"later@far.test far.test"}, w.queued(t))
			require.Len(t, w.inbox(t, "alice@here.test"), 1)
			time.Sleep(time.Hour)
		})
		require.Len(t, w.post.parcels(), 2)
		require.Len(t, w.inbox(t, "alice@here.test"), 1)
	})
}

func TestAttemptsAreBoundedAndABlockedDestinationDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.Concurrency = 4 })
		w.post.hold = make(chan struct{})
		w.post.begun = make(chan string, 1000)
		for i := range 20 {
			w.handle(t, mailTo(t, "alice@here.test", fmt.Sprintf("x%d@blocked.test", i)))
		}
		w.run(func() {
			synctest.Wait()
			require.Len(t, w.post.begun, 2, "two for one destination")
			w.handle(t, mailTo(t, "alice@here.test", "x@free.test"))
			synctest.Wait()
			require.Len(t, w.post.begun, 3, "another destination does not wait")
			for i := range 20 {
				w.handle(t, mailTo(t, "alice@here.test", fmt.Sprintf("x@d%d.test", i)))
			}
			synctest.Wait()
			require.Len(t, w.post.begun, 4, "four in total")
			close(w.post.hold)
			synctest.Wait()
			require.Len(t, w.post.begun, 41)
		})
		require.Empty(t, w.queued(t))
	})
}

func TestStopDrainsThenInterruptsAndGivesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.post.hold = make(chan struct{})
		w.handle(t, mailTo(t, "alice@here.test", "x@far.test"))
		start := time.Now()
		w.run(func() { synctest.Wait() })
		require.Equal(t, 20*time.Second, time.Since(start))
		require.NoError(t, w.queue.List(context.Background(), func(e queue.Entry) bool {
			require.False(t, e.Claimed)
			require.Zero(t, e.Attempts, "being interrupted is no attempt")
			return true
		}))
		close(w.post.hold)
		w.run(func() { synctest.Wait() })
		require.Len(t, w.post.parcels(), 1)
	})
}

// TestClaimLostInACrashIsSentAgain leaves a claim behind, as kill -9 does.
func TestClaimLostInACrashIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.handle(t, mailTo(t, "alice@here.test", "x@far.test"))
		claims, err := w.queue.Claim(context.Background(), 10, 10*time.Minute)
		require.NoError(t, err)
		require.Len(t, claims, 1)
		w.run(func() {
			time.Sleep(9 * time.Minute)
			require.Empty(t, w.post.parcels())
			time.Sleep(2 * time.Minute)
			require.Len(t, w.post.parcels(), 1)
		})
		require.ErrorIs(t, w.queue.Settle(context.Background(), claims[0], []queue.Outcome{{Done: true}}), queue.ErrLeaseLost)
	})
}

func TestMailForADomainThatBecameLocalIsDeliveredHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		_, err := w.queue.Queue.Put(context.Background(), &queue.Message{
			Envelope: mail.Envelope{From: mail.MustParseAddress("z@client.test"), Recipients: []mail.Recipient{
				{To: mail.MustParseAddress("bob@here.test")}, {To: mail.MustParseAddress("away@here.test")}, {To: mail.MustParseAddress("gone@here.test")},
			}},
			Prefix: []byte(trace), Body: message.FromBytes([]byte(text)),
		})
		require.NoError(t, err)
		w.run(func() { time.Sleep(time.Minute) })
		require.Equal(t, []string{"Return-Path: <z@client.test>\r\nDelivered-To: bob@here.test\r\n" + trace + text}, w.inbox(t, "bob@here.test"))
		var to []string
		for _, p := range w.post.parcels() {
			to = append(to, p.to)
		}
		require.ElementsMatch(t, []string{"carol@far.test", "z@client.test"}, to)
	})
}

func TestDirectoryDownIsWaitedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.handle(t, mailTo(t, "alice@here.test", "x@far.test"))
		w.people.fail = directory.ErrUnavailable
		w.run(func() {
			synctest.Wait()
			require.Empty(t, w.post.parcels())
			w.people.mu.Lock()
			w.people.fail = nil
			w.people.mu.Unlock()
			time.Sleep(6 * time.Minute)
		})
		require.Len(t, w.post.parcels(), 1)
	})
}

func TestMessageThatPanicsHarmsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.post.answer = func(to string, n int) sender.Result {
			if to == "poison@far.test" && n == 0 {
				w.post.tried[to]++
				panic("poison")
			}
			return says(250)
		}
		w.handle(t, mailTo(t, "alice@here.test", "poison@far.test"))
		w.handle(t, mailTo(t, "alice@here.test", "x@far.test"))
		w.run(func() {
			synctest.Wait()
			require.Len(t, w.post.parcels(), 1)
			time.Sleep(6 * time.Minute)
			require.Len(t, w.post.parcels(), 2)
		})
		require.Empty(t, w.queued(t))
	})
}

func TestQueueThatFailsIsAskedAgainSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q *unsteady
		w := newWorld(t, func(o *Options) {
			q = &unsteady{Queue: o.Queue, claims: 5, settles: 2}
			o.Queue = q
		})
		w.handle(t, mailTo(t, "alice@here.test", "x@far.test"))
		w.run(func() { time.Sleep(time.Hour) })
		require.Len(t, w.post.parcels(), 1, "settled before the lease ended")
		require.Empty(t, w.queued(t))
		require.Less(t, q.asked, 100)
	})
}

// unsteady is a queue whose first claims and settlements fail.
type unsteady struct {
	queue.Queue
	claims, settles, asked int
}

func (q *unsteady) Unwrap() queue.Queue { return q.Queue }

func (q *unsteady) Claim(ctx context.Context, n int, lease time.Duration) ([]queue.Claim, error) {
	q.asked++
	if q.claims--; q.claims >= 0 {
		return nil, errors.New("not now")
	}
	return q.Queue.Claim(ctx, n, lease)
}

func (q *unsteady) Settle(ctx context.Context, c queue.Claim, o []queue.Outcome) error {
	if q.settles--; q.settles >= 0 {
		return errors.New("not now")
	}
	return q.Queue.Settle(ctx, c, o)
}

func TestRulesPickTheRoute(t *testing.T) {
	smart := sender.Route{Hosts: []sender.Host{{Name: "smart"}}}
	other := sender.Route{Hosts: []sender.Host{{Name: "other"}}}
	rules := Rules{
		{From: []string{"boss@here.test"}, Route: other},
		{From: []string{"here.test"}, To: []string{".far.test", "bücher.test"}, Route: smart},
	}
	for _, c := range []struct {
		from, to string
		want     sender.Route
	}{
		{"Boss@here.test", "any.test", other},
		{"a@here.test", "sub.far.test", smart},
		{"a@here.test", "xn--bcher-kva.test", smart},
		{"a@here.test", "far.test", sender.Route{}},
		{"a@else.test", "sub.far.test", sender.Route{}},
	} {
		got, err := rules.Route(context.Background(), mail.MustParseAddress(c.from), c.to)
		require.NoError(t, err)
		require.Equal(t, c.want, got, "%s to %s", c.from, c.to)
	}
	w := newWorld(t, func(o *Options) { o.Router = Rules{{Route: smart}} })
	w.handle(t, mailTo(t, "alice@here.test", "x@far.test"))
	w.run(func() {
		require.Eventually(t, func() bool { return len(w.post.parcels()) == 1 }, 5*time.Second, time.Millisecond)
	})
	require.Equal(t, smart, w.post.parcels()[0].route)
}

func FuzzAccountKey(f *testing.F) {
	f.Add("alice@here.test", "")
	f.Add("a/b%c:d", "Lists/ü")
	f.Fuzz(func(t *testing.T, name, folder string) {
		d, _ := accountKey{name, folder}.destination()
		k, ok := parseAccount(d)
		require.Equal(t, name != "", ok)
		if ok {
			require.Equal(t, accountKey{name, folder}, k)
		}
		if k, ok := parseAccount(name); ok {
			require.NotEmpty(t, k.name)
		}
	})
}
