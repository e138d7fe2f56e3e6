package queuetest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/queue"
)

// book counts what happens to recipients, to find one that two have at once.
type book struct {
	t    *testing.T
	mu   sync.Mutex
	held map[string]bool
	done map[string]int
}

func newBook(t *testing.T) *book {
	return &book{t: t, held: make(map[string]bool), done: make(map[string]int)}
}

func names(c queue.Claim) []string {
	var all []string
	for _, to := range recipients(c) {
		all = append(all, fmt.Sprintf("%d %s", c.ID, to))
	}
	return all
}

func (k *book) take(c queue.Claim) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, name := range names(c) {
		if k.held[name] {
			k.t.Errorf("%s is claimed twice", name)
		}
		if k.done[name] > 0 {
			k.t.Errorf("%s is claimed after it was settled", name)
		}
		k.held[name] = true
	}
}

// give is called before Settle: from then on the recipient may be claimed.
func (k *book) give(c queue.Claim, outcomes []queue.Outcome) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, name := range names(c) {
		delete(k.held, name)
		if outcomes[i].Done {
			k.done[name]++
		}
	}
}

// work claims and settles until want recipients are settled for good; some
// attempts fail and come again at once.
func (b *bench) work(k *book, settled *atomic.Int64, want int64) {
	retry := b.clock.Now()
	for settled.Load() < want {
		_, changed := b.q.Next()
		claims, err := b.q.Claim(b.ctx, 1+rand.IntN(5), lease)
		if err != nil {
			k.t.Errorf("Claim: %v", err)
			return
		}
		if len(claims) == 0 {
			select {
			case <-changed:
			case <-time.After(20 * time.Millisecond): // the last may have been settled without a change
			}
		}
		for _, c := range claims {
			k.take(c)
			outcomes := make([]queue.Outcome, len(c.States))
			n := int64(0)
			for i := range outcomes {
				outcomes[i] = queue.Outcome{Retry: retry}
				if rand.IntN(3) > 0 {
					outcomes[i] = done
					n++
				}
			}
			k.give(c, outcomes)
			if err := b.q.Settle(b.ctx, c, outcomes); err != nil {
				k.t.Errorf("Settle: %v", err)
				return
			}
			settled.Add(n)
		}
	}
}

var concurrentTests = map[string]func(*testing.T, *bench){
	"ClaimersNeverShare": func(t *testing.T, b *bench) {
		const messages = 600
		k := newBook(t)
		var settled atomic.Int64
		var wait sync.WaitGroup
		for w := range 4 {
			wait.Go(func() {
				for i := w; i < messages; i += 4 {
					a, z := i%7, i%3
					if _, err := b.q.Put(b.ctx, to(fmt.Sprintf("a@d%d.test", a), fmt.Sprintf("b@d%d.test", a), fmt.Sprintf("c@e%d.test", z))); err != nil {
						t.Errorf("Put: %v", err)
					}
				}
			})
		}
		for range 8 {
			wait.Go(func() { b.work(k, &settled, 3*messages) })
		}
		wait.Wait()
		require.Len(t, k.done, 3*messages)
		for name, n := range k.done {
			require.Equal(t, 1, n, name)
		}
		require.Empty(t, b.claim(1))
	},
	"AdministratorsAndClaimersAgree": func(t *testing.T, b *bench) {
		a := power[queue.Administrator](b)
		const messages = 300
		ids := b.many(messages, "one.test")
		var gone atomic.Int64
		var wait sync.WaitGroup
		for w := range 3 {
			wait.Go(func() {
				for i := w; i < messages; i += 3 {
					n, err := a.Remove(b.ctx, ids[i:i+1])
					if err != nil {
						t.Errorf("Remove: %v", err)
					}
					gone.Add(int64(n))
					if _, err := a.Wake(b.ctx, "one.test"); err != nil {
						t.Errorf("Wake: %v", err)
					}
				}
			})
			wait.Go(func() {
				for range messages / 3 {
					claims, err := b.q.Claim(b.ctx, 2, lease)
					if err != nil {
						t.Errorf("Claim: %v", err)
					}
					for j, c := range claims {
						o := done
						if j == 0 {
							o = queue.Outcome{Retry: b.clock.Now().Add(time.Hour)}
						} else {
							gone.Add(1)
						}
						if err := b.q.Settle(b.ctx, c, same(c, o)); err != nil {
							t.Errorf("Settle: %v", err)
						}
					}
				}
			})
		}
		wait.Wait()
		b.clock.Advance(time.Hour)
		left := b.claim(messages)
		require.EqualValues(t, messages, gone.Load()+int64(len(left)))
		for _, c := range left {
			require.NotEmpty(t, b.content(c.Body))
			b.settle(c, done)
		}
	},
}
