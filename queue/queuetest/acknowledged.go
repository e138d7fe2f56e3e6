package queuetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	smtp "github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/queue"
)

// greeting is the content of a message of to.
const greeting = "Received: from here\r\nSubject: test\r\n\r\nHello.\r\n"

// acknowledgedTests cut the power as soon as a change was acknowledged.
var acknowledgedTests = map[string]func(*testing.T, *plug){
	"Put": func(t *testing.T, p *plug) {
		m := to("a@one.test", "b@one.test", "c@two.test")
		m.Envelope.Options = smtp.MailOptions{Body: smtp.Body8BitMIME, UTF8: true, EnvelopeID: "e+1"}
		m.Envelope.Recipients[1].Options = smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifyDelayed}}
		m.Received, m.Session = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC), "s-1"
		m.Body = newBody(strings.Repeat("a line of text\r\n", 10_000))
		id := p.putMessage(m)
		p.cut()
		claims := p.claim(10)
		require.Equal(t, map[string]int{"one.test": 1, "two.test": 1}, domains(claims))
		for _, c := range claims {
			want := m.Envelope
			want.Recipients = m.Envelope.Recipients[:2]
			if c.Destination == "two.test" {
				want.Recipients = m.Envelope.Recipients[2:]
			}
			require.Equal(t, id, c.ID)
			require.Equal(t, want, c.Envelope)
			require.Equal(t, "s-1", c.Session)
			require.True(t, m.Received.Equal(c.Received))
			require.Equal(t, "Received: from here\r\n"+strings.Repeat("a line of text\r\n", 10_000), p.content(c.Body))
		}
	},
	"PutOneByOne": func(t *testing.T, p *plug) {
		var want, got []queue.ID
		m := to("a@one.test")
		m.NotBefore = p.clock.Now()
		for range 10 {
			want = append(want, p.putMessage(m))
			p.cut()
		}
		for range want {
			c := p.first(1)
			require.Equal(t, greeting, p.content(c.Body))
			got = append(got, c.ID)
		}
		require.Equal(t, want, got, "in the order of put")
		require.Empty(t, p.claim(1))
	},
	"NotBefore": func(t *testing.T, p *plug) {
		m := to("a@one.test")
		m.NotBefore = p.clock.Now().Add(time.Hour)
		p.putMessage(m)
		p.cut()
		require.Empty(t, p.claim(1))
		p.due(m.NotBefore)
		p.clock.Advance(time.Hour - lease)
		p.one()
	},
	"ALostClaim": func(t *testing.T, p *plug) {
		id := p.put("a@one.test", "b@one.test")
		p.one()
		p.cut()
		c := p.one()
		require.Equal(t, id, c.ID)
		require.Equal(t, []string{"a@one.test", "b@one.test"}, recipients(c))
		p.settle(c, done)
	},
	"SettleForGood": func(t *testing.T, p *plug) {
		p.put("a@one.test", "b@one.test")
		p.settle(p.one(), done)
		p.cut()
		require.Empty(t, p.look(""))
	},
	"SettleSome": func(t *testing.T, p *plug) {
		id := p.put("a@one.test", "b@one.test", "c@two.test")
		for _, c := range p.claim(2) {
			if c.Destination == "one.test" {
				require.NoError(t, p.q.Settle(p.ctx, c, []queue.Outcome{done, p.later(time.Hour)}))
			}
		}
		p.cut()
		require.Equal(t, []string{"c@two.test"}, recipients(p.one()), "the other is not due")
		require.Equal(t, map[queue.ID][]waiting{id: {{"b@one.test", 1}, {"c@two.test", 0}}}, p.look(greeting))
	},
	"SettleForLater": func(t *testing.T, p *plug) {
		p.put("a@one.test")
		o := p.later(time.Hour)
		o.Reply = mail.Errorf(450, [3]int{4, 2, 0}, "Mailbox busy").Because(errors.New("mx.one.test said so"))
		o.Delayed = true
		p.settle(p.one(), o)
		p.cut()
		p.due(o.Retry)
		require.Empty(t, p.claim(1))
		p.clock.Advance(time.Hour - lease)
		s := p.one().States[0]
		require.Equal(t, 1, s.Attempts)
		require.True(t, s.Delayed)
		require.NotNil(t, s.Last)
		require.Equal(t, o.Reply.Error(), s.Last.Error())
	},
	"SettleOneByOne": func(t *testing.T, p *plug) {
		ids := []queue.ID{p.put("a@one.test"), p.put("b@one.test"), p.put("c@one.test")}
		for i := range ids {
			c := p.first(1)
			require.Equal(t, ids[i], c.ID)
			p.settle(c, done)
			p.cut()
		}
		require.Empty(t, p.look(""))
		if l, ok := queue.As[queue.Lister](p.q); ok {
			require.Empty(t, p.list())
			_, err := l.Content(p.ctx, ids[0])
			require.ErrorIs(t, err, queue.ErrNotQueued)
		}
	},
	"Retry": func(t *testing.T, p *plug) {
		p.hastened(func(a queue.Administrator, id queue.ID) (int, error) { return a.Retry(p.ctx, []queue.ID{id}) })
	},
	"Wake": func(t *testing.T, p *plug) {
		p.hastened(func(a queue.Administrator, _ queue.ID) (int, error) { return a.Wake(p.ctx, "one.test") })
	},
	"Remove": func(t *testing.T, p *plug) {
		a := power[queue.Administrator](p.bench)
		gone, stays := p.put("a@one.test", "b@two.test"), p.put("c@one.test")
		n, err := a.Remove(p.ctx, []queue.ID{gone})
		require.NoError(t, err)
		require.Equal(t, 2, n)
		p.cut()
		require.Equal(t, map[queue.ID][]waiting{stays: {{"c@one.test", 0}}}, p.look(greeting))
	},
	"IDsNeverRepeat": func(t *testing.T, p *plug) {
		seen := make(map[queue.ID]bool)
		for range 6 {
			id := p.put("a@one.test")
			require.False(t, seen[id], "id %d twice", id)
			seen[id] = true
			p.cut()
			p.settle(p.one(), done)
			p.cut()
		}
	},
	"EverythingThatCouldBeSeen": func(t *testing.T, p *plug) {
		power[queue.Lister](p.bench)
		for cut := range 8 {
			for i := range 12 {
				p.happen(rand.New(rand.NewPCG(uint64(cut), uint64(i))))
			}
			before := p.picture()
			p.cut()
			require.Equal(t, before, p.picture())
		}
	},
}

// hastened checks that recipients made due stay due.
func (p *plug) hastened(hasten func(queue.Administrator, queue.ID) (int, error)) {
	a := power[queue.Administrator](p.bench)
	m := to("a@one.test")
	m.NotBefore = p.clock.Now().Add(24 * time.Hour)
	id := p.putMessage(m)
	n, err := hasten(a, id)
	require.NoError(p.t, err)
	require.Equal(p.t, 1, n)
	p.cut()
	require.Equal(p.t, id, p.one().ID)
}

// happen makes one change.
func (p *plug) happen(r *rand.Rand) {
	if r.IntN(3) == 0 {
		p.put(fmt.Sprintf("a%d@one.test", r.IntN(100)), "b@two.test", "c@one.test")
		return
	}
	for _, c := range p.claim(1) {
		outcomes := make([]queue.Outcome, len(c.States))
		for i := range outcomes {
			if outcomes[i] = done; r.IntN(2) == 0 {
				outcomes[i] = p.later(time.Duration(r.IntN(60)) * time.Minute)
			}
		}
		require.NoError(p.t, p.q.Settle(p.ctx, c, outcomes))
	}
}

// picture is all that can be seen of a queue, as text. That recipients are
// claimed is no durable promise.
func (p *plug) picture() string {
	p.t.Helper()
	var s strings.Builder
	for _, e := range p.list() {
		o, err := power[queue.Lister](p.bench).Content(p.ctx, e.ID)
		require.NoError(p.t, err)
		fmt.Fprintf(&s, "%d %s %s %s %d %v %v %d %q %q\n", e.ID, e.From, e.To, e.Destination, e.Size, e.Received.UTC(), e.Next.UTC(), e.Attempts, e.LastReply, p.content(o))
		require.NoError(p.t, o.Close())
	}
	return s.String()
}
