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

func TestDelayNoticeOnceAndOnlyWhenAsked(t *testing.T) {
	for name, c := range map[string]struct {
		notify []gosmtp.DSNNotify
		always DelayNotices
		want   int
	}{
		"asked":            {[]gosmtp.DSNNotify{gosmtp.DSNNotifyDelayed}, DelayWhenAsked, 1},
		"not asked":        {nil, DelayWhenAsked, 0},
		"by configuration": {nil, DelayAlways, 1},
		"not wanted":       {[]gosmtp.DSNNotify{gosmtp.DSNNotifyFailure}, DelayAlways, 0},
		"never":            {[]gosmtp.DSNNotify{gosmtp.DSNNotifyNever}, DelayAlways, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(o *Options) { o.DelayNotices = c.always })
				w.post.answer = func(string, int) sender.Result { return says(451, 4, 4, 1) }
				m := mailTo(t, "alice@here.test", "x@far.test")
				m.Envelope.Recipients[0].Options.Notify = c.notify
				w.handle(t, m)
				w.run(func() {
					time.Sleep(3 * time.Hour)
					synctest.Wait()
					require.Empty(t, w.inbox(t, "alice@here.test"))
					time.Sleep(3 * 24 * time.Hour)
				})
				reports := w.inbox(t, "alice@here.test")
				require.Len(t, reports, c.want)
				if c.want > 0 {
					require.Contains(t, reports[0], "Action: delayed")
					require.Contains(t, reports[0], "Will-Retry-Until: ")
				}
				require.Len(t, w.queued(t), 1)
			})
		})
	}
}

func TestNotifyDecidesAboutFailureReports(t *testing.T) {
	for name, c := range map[string]struct {
		from   string
		notify []gosmtp.DSNNotify
		want   int
	}{
		"nothing said":           {"alice@here.test", nil, 1},
		"failure":                {"alice@here.test", []gosmtp.DSNNotify{gosmtp.DSNNotifyFailure, gosmtp.DSNNotifySuccess}, 1},
		"never":                  {"alice@here.test", []gosmtp.DSNNotify{gosmtp.DSNNotifyNever}, 0},
		"success only":           {"alice@here.test", []gosmtp.DSNNotify{gosmtp.DSNNotifySuccess}, 0},
		"M20 null sender":        {"", nil, 0},
		"M20 null sender, asked": {"", []gosmtp.DSNNotify{gosmtp.DSNNotifyFailure}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				w.post.answer = func(string, int) sender.Result { return says(550, 5, 1, 1) }
				m := mailTo(t, c.from, "x@far.test")
				m.Envelope.Recipients[0].Options.Notify = c.notify
				w.handle(t, m)
				w.run(func() { time.Sleep(time.Hour) })
				require.Len(t, w.inbox(t, "alice@here.test"), c.want)
				require.Empty(t, w.queued(t))
			})
		})
	}
}

// TestM20ReportAboutAReportIsNeverSent lets the bounce itself bounce.
func TestM20ReportAboutAReportIsNeverSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.post.answer = func(string, int) sender.Result { return says(550, 5, 1, 1) }
		// A forged report, as a spammer would send it, and real mail from an
		// address that takes none.
		forged := mailTo(t, "", "x@far.test")
		forged.Body = message.FromBytes([]byte("From: MAILER-DAEMON@mx.here.test\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n" +
			"--b\r\nContent-Type: message/delivery-status\r\n\r\nOriginal-Envelope-Id: 1\r\n\r\nFinal-Recipient: rfc822; alice@here.test\r\nAction: failed\r\n--b--\r\n"))
		forged.Index = nil
		w.handle(t, forged)
		w.handle(t, mailTo(t, "spammer@nowhere.test", "y@far.test"))
		w.run(func() { time.Sleep(10 * 24 * time.Hour) })
		require.Empty(t, w.queued(t))
		require.Empty(t, w.inbox(t, "alice@here.test"))
		require.Equal(t, map[string]int{"x@far.test": 1, "y@far.test": 1, "spammer@nowhere.test": 1}, w.post.tried)
	})
}

func TestReportThatCantBeStoredKeepsTheRecipient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.post.answer = func(string, int) sender.Result { return says(550, 5, 1, 1) }
		w.handle(t, mailTo(t, "alice@here.test", "x@far.test"))
		w.store.mu.Lock()
		w.store.fail = errors.New("down")
		w.store.mu.Unlock()
		w.run(func() {
			synctest.Wait()
			require.Equal(t, []string{"x@far.test far.test"}, w.queued(t))
			w.store.mu.Lock()
			w.store.fail = nil
			w.store.mu.Unlock()
			time.Sleep(time.Hour)
		})
		require.Empty(t, w.queued(t))
		require.Len(t, w.inbox(t, "alice@here.test"), 1)
	})
}

func TestSuccessReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		asked := []gosmtp.DSNNotify{gosmtp.DSNNotifySuccess}
		w.post.answer = func(to string, _ int) sender.Result {
			r := says(250, 2, 1, 5)
			r.DSN = strings.HasPrefix(to, "dsn")
			return r
		}
		m := mailTo(t, "alice@here.test", "bob@here.test", "dsn@far.test", "plain@far.test", "quiet@far.test")
		for i := range 3 {
			m.Envelope.Recipients[i].Options.Notify = asked
		}
		w.handle(t, m)
		require.Len(t, w.inbox(t, "alice@here.test"), 1, "delivered here: told at once")
		require.Contains(t, w.inbox(t, "alice@here.test")[0], "Action: delivered")
		w.run(func() { time.Sleep(time.Minute) })
		reports := w.inbox(t, "alice@here.test")
		require.Len(t, reports, 2)
		require.Contains(t, reports[1], "Action: relayed")
		require.Contains(t, reports[1], "plain@far.test")
		require.NotContains(t, reports[1], "dsn@far.test")
		require.NotContains(t, reports[1], "quiet@far.test")
	})
}

func TestDestinationThatAnswersAgainWakesItsMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		up := false
		w.post.answer = func(string, int) sender.Result {
			if !up {
				return says(451, 4, 4, 1)
			}
			return says(250)
		}
		w.handle(t, mailTo(t, "alice@here.test", "one@far.test"))
		w.run(func() {
			time.Sleep(14 * time.Minute) // one is due again after 15
			w.handle(t, mailTo(t, "alice@here.test", "two@far.test"))
			synctest.Wait() // two is due again after 5
			w.post.mu.Lock()
			up = true
			w.post.mu.Unlock()
			time.Sleep(70 * time.Second)
			synctest.Wait()
			require.Len(t, w.post.parcels(), 2, "two did not wait its own time")
			require.Empty(t, w.queued(t))
		})
	})
}

func TestMailForADeadDestinationWaitsWithoutAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.post.answer = func(string, int) sender.Result { return says(451, 4, 4, 1) }
		for i := range 100 {
			w.handle(t, mailTo(t, "alice@here.test", fmt.Sprintf("x%d@dead.test", i)))
		}
		w.run(func() {
			time.Sleep(30 * time.Second)
			require.LessOrEqual(t, len(w.post.tried), 2, "one attempt tells enough")
			require.Len(t, w.queued(t), 100)
			w.post.mu.Lock()
			w.post.answer = nil
			w.post.mu.Unlock()
			time.Sleep(5 * time.Minute)
		})
		require.Len(t, w.post.parcels(), 100)
	})
}

func TestWithoutCoolingWhatIsDeadKeepsNoOtherMailOfItsDestinationBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.Cooling = -1 })
		w.post.answer = func(address string, _ int) sender.Result {
			if address == "dead@cluster.test" {
				return says(451, 4, 4, 1)
			}
			return says(250)
		}
		for _, name := range []string{"dead", "x", "dead", "y"} {
			w.handle(t, mailTo(t, "alice@here.test", name+"@cluster.test"))
		}
		w.run(func() {
			time.Sleep(30 * time.Second)
			require.Len(t, w.post.parcels(), 2)
			require.Len(t, w.queued(t), 2)
		})
	})
}

func TestColdDestinationsAreForgotten(t *testing.T) {
	var c cooling
	now := time.Now()
	dead := []sender.Result{says(451, 4, 4, 1)}
	for i := range 2 * maxCooling {
		c.note(fmt.Sprint(i), dead, now.Add(-time.Second))
	}
	require.LessOrEqual(t, len(c.down), maxCooling)
	c.note("d", dead, now.Add(time.Minute))
	require.NotNil(t, c.check("d", now))
	require.Nil(t, c.check("d", now.Add(time.Minute)))
	c.note("d", dead, now.Add(time.Minute))
	c.note("d", []sender.Result{says(450, 4, 2, 1)}, now.Add(time.Minute))
	require.Nil(t, c.check("d", now), "it has answered")
}

func TestRefusalsForOtherReasonsDontWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.post.answer = func(to string, n int) sender.Result {
			if n == 0 || to == "slow@far.test" {
				return says(450, 4, 2, 1) // greylisted
			}
			return says(250)
		}
		w.handle(t, mailTo(t, "alice@here.test", "one@far.test"))
		w.run(func() {
			time.Sleep(4 * time.Minute)
			w.handle(t, mailTo(t, "alice@here.test", "slow@far.test"))
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			require.Len(t, w.post.parcels(), 1)
			require.Equal(t, 1, w.post.tried["slow@far.test"])
		})
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
