package local

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/queue"
)

// times returns how often a test repeats: by an environment variable, or n.
func times(t testing.TB, variable string, n int) int {
	if s := os.Getenv(variable); s != "" {
		v, err := strconv.Atoi(s)
		require.NoError(t, err, variable)
		return v
	}
	return n
}

// ledger is what the users of a queue know about it: of each recipient what was
// acknowledged last, and whether something else was under way.
type ledger struct {
	mu         sync.Mutex
	next       int
	recipients map[string]*fate // by address
	messages   map[string][]string
}

type fate struct {
	acked    bool // the message was put
	done     bool
	attempts int
	due      time.Time
	pending  int // outcomes that are under way
}

func newLedger() *ledger {
	return &ledger{recipients: map[string]*fate{}, messages: map[string][]string{}}
}

// compose makes a message with a content of its own that names its recipients.
func (l *ledger) compose(r *rand.Rand) *queue.Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	m := &queue.Message{Prefix: []byte("Received: here\r\n"), Session: fmt.Sprint(l.next)}
	var all []string
	for i := range 1 + r.IntN(4)*r.IntN(2) {
		a := fmt.Sprintf("m%d-%d@d%d.test", l.next, i, r.IntN(5))
		all = append(all, a)
		l.recipients[a] = &fate{}
		m.Envelope.Recipients = append(m.Envelope.Recipients, mail.Recipient{To: mail.MustParseAddress(a)})
	}
	l.messages[m.Session] = all
	m.Body = message.FromBytes([]byte(contentOf(m.Session)))
	return m
}

func contentOf(session string) string {
	return "Subject: " + session + "\r\n\r\n" + strings.Repeat(session+"\r\n", 50)
}

func (l *ledger) put(q *Queue, r *rand.Rand) error {
	m := l.compose(r)
	if _, err := q.Put(testContext, m); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.messages[m.Session] {
		l.recipients[a].acked = true
	}
	return nil
}

// work claims some and settles each of them one way or another.
func (l *ledger) work(q *Queue, r *rand.Rand) error {
	claims, err := q.Claim(testContext, 1+r.IntN(4), time.Hour)
	if err != nil {
		return err
	}
	for _, c := range claims {
		outcomes := make([]queue.Outcome, len(c.States))
		for i := range outcomes {
			if r.IntN(2) == 0 {
				outcomes[i].Done = true
			} else {
				outcomes[i].Retry = time.Now().Add(time.Duration(r.IntN(10)-5) * time.Millisecond).Round(0)
			}
		}
		l.each(c, func(_ int, f *fate) { f.acked = true; f.pending++ })
		if err := q.Settle(testContext, c, outcomes); err != nil {
			return err
		}
		l.each(c, func(i int, f *fate) {
			f.pending--
			if n := c.States[i].Attempts + 1; n > f.attempts { // else somebody else's later outcome was noted before
				f.attempts, f.done, f.due = n, outcomes[i].Done, outcomes[i].Retry
			}
		})
	}
	return nil
}

func (l *ledger) each(c queue.Claim, f func(int, *fate)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, to := range c.Envelope.Recipients {
		f(i, l.recipients[to.To.String()])
	}
}

// copy is the ledger at one moment.
func (l *ledger) copy() *ledger {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := newLedger()
	c.next = l.next
	for a, f := range l.recipients {
		g := *f
		c.recipients[a] = &g
	}
	maps.Copy(c.messages, l.messages)
	return c
}

// audit compares a reopened queue with the ledger as it was just before the
// crash and just after it, and returns the ledger to go on with. What was the
// same at both moments must be so.
func audit(t testing.TB, q *Queue, before, after *ledger) *ledger {
	require.NoError(t, q.Check(testContext, func(damage string) { require.Fail(t, damage) }))
	found := map[string]queue.Entry{}
	require.NoError(t, q.List(testContext, func(e queue.Entry) bool {
		require.NotContains(t, found, e.To.String())
		found[e.To.String()] = e
		return true
	}))
	next := newLedger()
	next.next = after.next
	for address, f := range after.recipients {
		e, ok := found[address]
		if was := before.recipients[address]; was != nil && *was == *f && f.acked && f.pending == 0 {
			require.Equal(t, !f.done, ok, "%s: settled for good %v, in the queue %v", address, f.done, ok)
			if ok {
				require.Equal(t, f.attempts, e.Attempts, address)
				require.True(t, f.attempts == 0 || f.due.Equal(e.Next), "%s is due at another time", address)
			}
		}
		next.recipients[address] = &fate{acked: true, done: !ok, attempts: e.Attempts, due: e.Next}
		delete(found, address)
	}
	require.Empty(t, found, "nobody put these")
	for session, all := range after.messages {
		next.messages[session] = all
		there := 0
		for _, a := range all {
			if f := after.recipients[a]; f.acked || f.pending > 0 {
				there = -1 << 20 // some may be settled
			}
			if !next.recipients[a].done {
				there++
			}
		}
		require.True(t, there <= 0 || there == len(all), "%d of %d recipients of a message that was not acknowledged", there, len(all))
	}
	return next
}

// exhaust claims all that is due and reads it.
func exhaust(t testing.TB, q *Queue) {
	claims, err := q.Claim(testContext, 100_000, time.Hour)
	require.NoError(t, err)
	for _, c := range claims {
		body, err := io.ReadAll(message.NewReader(c.Body))
		require.NoError(t, err)
		require.Equal(t, "Received: here\r\n"+contentOf(c.Session), string(body))
		require.NoError(t, q.Release(testContext, c))
	}
}

var (
	testContext = context.Background()
	quietLog    = slog.New(slog.DiscardHandler)
)

// A power cut forgets what was not synced. What was acknowledged is there after
// it, whole; what was under way is there whole or not at all.
func TestPowerCutLosesNothingAcknowledged(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for cut := range times(t, "POSTHOUSE_CUTS", 100) {
		fs := vfs.NewCrashableMem()
		before, after := newLedger(), newLedger()
		for range 1 + r.IntN(3) {
			fs, before, after = powerCut(t, fs, before, after, r)
			if t.Failed() {
				t.Fatalf("cut %d", cut)
			}
		}
	}
}

func powerCut(t *testing.T, fs *vfs.MemFS, before, after *ledger, r *rand.Rand) (*vfs.MemFS, *ledger, *ledger) {
	e, err := engine.Open("data", engine.Options{FS: fs, SegmentSize: 64 << 10, Reserve: -1, Logger: quietLog})
	require.NoError(t, err)
	q, err := open(e, Options{})
	require.NoError(t, err)
	l := audit(t, q, before, after)
	exhaust(t, q)

	stop := make(chan struct{})
	var wait sync.WaitGroup
	for w := range 6 {
		rw := rand.New(rand.NewPCG(r.Uint64(), uint64(w)))
		wait.Go(func() {
			for !stopped(stop) {
				var err error
				if w < 3 {
					err = l.put(q, rw)
				} else {
					err = l.work(q, rw)
				}
				if err != nil {
					t.Errorf("before the cut: %v", err)
					return
				}
			}
		})
	}
	time.Sleep(time.Duration(r.IntN(3000)) * time.Microsecond) // the moment of the cut
	before = l.copy()
	clone := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: r.IntN(101), RNG: rand.New(rand.NewPCG(r.Uint64(), 1))})
	after = l.copy()
	close(stop)
	wait.Wait()
	require.NoError(t, q.Close())
	require.NoError(t, e.Close())
	return clone, before, after
}

func stopped(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}
