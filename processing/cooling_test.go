package processing

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/smtp/sender"
)

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
