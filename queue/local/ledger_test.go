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

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/queue"
)

var (
	testContext = context.Background()
	quietLog    = slog.New(slog.DiscardHandler)
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
	out        io.Writer // not nil: where events are told to another process that keeps the ledger
	next       int
	recipients map[string]*fate // by address
	messages   map[string][]string
}

type fate struct {
	acked    bool // the message was put
	done     bool
	attempts int
	due      int64 // nanoseconds since 1970
	pending  int   // outcomes that are under way
}

func newLedger() *ledger {
	return &ledger{recipients: map[string]*fate{}, messages: map[string][]string{}}
}

// note takes an event down: a verb, a session or address, and more.
func (l *ledger) note(event ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.out != nil {
		fmt.Fprintln(l.out, strings.Join(event, " "))
		return
	}
	l.apply(event)
}

func (l *ledger) apply(event []string) {
	switch f := l.recipients[event[1]]; event[0] {
	case "compose":
		l.messages[event[1]] = event[2:]
		for _, a := range event[2:] {
			l.recipients[a] = &fate{}
		}
	case "put":
		for _, a := range l.messages[event[1]] {
			l.recipients[a].acked = true
		}
	case "try":
		f.acked = true
		f.pending++
	case "settled":
		f.pending--
		n, _ := strconv.Atoi(event[2])
		if n > f.attempts { // else somebody else's later outcome was noted before
			f.attempts, f.done = n, event[3] == "true"
			f.due, _ = strconv.ParseInt(event[4], 10, 64)
		}
	}
}

// compose makes a message with a content of its own that names its recipients.
func (l *ledger) compose(r *rand.Rand) *queue.Message {
	l.mu.Lock()
	l.next++
	session := fmt.Sprint(l.next)
	l.mu.Unlock()
	m := &queue.Message{Prefix: []byte("Received: here\r\n"), Session: session}
	event := []string{"compose", session}
	for i := range 1 + r.IntN(4)*r.IntN(2) {
		a := fmt.Sprintf("m%s-%d@d%d.test", session, i, r.IntN(5))
		event = append(event, a)
		m.Envelope.Recipients = append(m.Envelope.Recipients, mail.Recipient{To: mail.MustParseAddress(a)})
	}
	l.note(event...)
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
	l.note("put", m.Session)
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
		for i, to := range c.Envelope.Recipients {
			l.note("try", to.To.String())
			outcomes[i].Done = r.IntN(2) == 0
			outcomes[i].Retry = time.Now().Add(time.Duration(r.IntN(10)-5) * time.Millisecond)
		}
		if err := q.Settle(testContext, c, outcomes); err != nil {
			return err
		}
		for i, to := range c.Envelope.Recipients {
			o := outcomes[i]
			l.note("settled", to.To.String(), fmt.Sprint(c.States[i].Attempts+1), fmt.Sprint(o.Done), fmt.Sprint(o.Retry.UnixNano()))
		}
	}
	return nil
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
		_, twice := found[e.To.String()] // require.NotContains would look at every key
		require.False(t, twice, e.To.String())
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
				require.True(t, f.attempts == 0 || f.due == e.Next.UnixNano(), "%s is due at another time", address)
			}
		}
		next.recipients[address] = &fate{acked: true, done: !ok, attempts: e.Attempts, due: e.Next.UnixNano()}
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
