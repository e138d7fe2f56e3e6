package processing

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/queue"
	memoryqueue "github.com/posthouse-mail/posthouse/queue/memory"
	"github.com/posthouse-mail/posthouse/smtp"
	"github.com/posthouse-mail/posthouse/smtp/sender"
	"github.com/posthouse-mail/posthouse/storage"
	memorystore "github.com/posthouse-mail/posthouse/storage/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// people is a directory in a map. Its local domains are here.test and
// bücher.test.
type people struct {
	mu   sync.Mutex
	to   map[string][]directory.Recipient // by the key of the address
	fail error                            // of every question
}

func (d *people) Resolve(_ context.Context, a mail.Address) ([]directory.Recipient, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return nil, d.fail
	}
	if to := d.to[a.Key()]; to != nil {
		return to, nil
	}
	return nil, directory.ErrUnknown
}

func (d *people) Local(_ context.Context, domain string) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := mail.DomainKey(domain)
	return key == "here.test" || key == "xn--bcher-kva.test", d.fail
}

func account(name string) directory.Recipient { return directory.Recipient{Account: name} }

func forward(a string) directory.Recipient {
	return directory.Recipient{Forward: mail.MustParseAddress(a)}
}

// picky is a store that refuses some accounts, or everything.
type picky struct {
	*memorystore.Store
	mu      sync.Mutex
	refuse  map[string]error // by account
	fail    error            // of Deliver
	deliver int              // calls of Deliver
}

func (s *picky) Deliver(ctx context.Context, d *storage.Delivery) ([]storage.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deliver++
	if s.fail != nil {
		return nil, s.fail
	}
	allowed, receipts := *d, make([]storage.Receipt, len(d.Targets))
	allowed.Targets = nil
	var at []int
	for i, t := range d.Targets {
		if receipts[i].Err = s.refuse[t.User]; receipts[i].Err == nil {
			allowed.Targets = append(allowed.Targets, t)
			at = append(at, i)
		}
	}
	got, err := s.Store.Deliver(ctx, &allowed)
	for i, r := range got {
		receipts[at[i]] = r
	}
	return receipts, err
}

func (s *picky) set(account string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse[account] = err
}

// failing is a queue that can be told to fail.
type failing struct {
	*memoryqueue.Queue
	mu  sync.Mutex
	put error
}

func (q *failing) Put(ctx context.Context, m *queue.Message) (queue.ID, error) {
	q.mu.Lock()
	err := q.put
	q.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return q.Queue.Put(ctx, m)
}

// post is the rest of the world: a Sender that answers by recipient.
type post struct {
	mu     sync.Mutex
	sent   []parcel
	answer func(to string, n int) sender.Result // n: how often the recipient was tried before
	tried  map[string]int
	hold   chan struct{} // when set, Send waits for it or its context
	begun  chan string   // when set, gets the domain of each job that begins
}

type parcel struct {
	from, to, text string
	options        mail.Recipient
	domain         string
	route          sender.Route
	at             time.Time
}

func (p *post) Send(ctx context.Context, j *sender.Job) []sender.Result {
	if p.begun != nil {
		p.begun <- j.Domain
	}
	results := make([]sender.Result, len(j.Envelope.Recipients))
	if p.hold != nil {
		select {
		case <-p.hold:
		case <-ctx.Done():
			for i := range results {
				results[i].Reply = mail.ErrTemporary.Because(ctx.Err())
			}
			return results
		}
	}
	text, _ := io.ReadAll(message.NewReader(j.Body))
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, r := range j.Envelope.Recipients {
		to := r.To.String()
		results[i] = sender.Result{Reply: &mail.Reply{Code: 250, Text: "ok"}, Host: "mx." + j.Domain}
		if p.answer != nil {
			results[i] = p.answer(to, p.tried[to])
		}
		p.tried[to]++
		if results[i].Reply.Code == 250 {
			p.sent = append(p.sent, parcel{j.Envelope.From.String(), to, string(text), r, j.Domain, j.Route, time.Now()})
		}
	}
	return results
}

func (p *post) parcels() []parcel {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]parcel(nil), p.sent...)
}

// times returns how often a recipient was tried.
func (p *post) times(to string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tried[to]
}

// world is a mail system with everything around it.
type world struct {
	*Processor
	people *people
	store  *picky
	queue  *failing
	post   *post
}

func newWorld(t testing.TB, change func(*Options)) *world {
	w := &world{
		people: &people{to: map[string][]directory.Recipient{
			"alice@here.test":      {account("alice@here.test")},
			"bob@here.test":        {account("bob@here.test")},
			"sales@here.test":      {account("alice@here.test"), account("bob@here.test")},
			"both@here.test":       {account("alice@here.test"), forward("carol@far.test")},
			"away@here.test":       {forward("carol@far.test")},
			"list@here.test":       {{Account: "alice@here.test", Folder: "Lists"}},
			"loop@here.test":       {forward("loop2@here.test")},
			"loop2@here.test":      {forward("loop@here.test")},
			"chain@here.test":      {forward("bob@here.test")},
			"postmaster":           {account("alice@here.test")},
			"b@xn--bcher-kva.test": {account("bob@here.test")},
		}},
		store: &picky{Store: memorystore.New(), refuse: make(map[string]error)},
		queue: &failing{Queue: memoryqueue.New()},
		post:  &post{tried: make(map[string]int)},
	}
	o := Options{
		Hostname: "mx.here.test", Directory: w.people, Store: w.store, Queue: w.queue, Sender: w.post,
		Schedule: Schedule{Jitter: -1}, Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&o)
	}
	p, err := New(o)
	require.NoError(t, err)
	w.Processor = p
	return w
}

// run works the queue off while f runs.
func (w *world) run(f func()) {
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() { _ = w.Run(ctx) })
	f()
}

// inbox returns the contents of an account's mailbox.
func (w *world) inbox(t testing.TB, user string, name ...string) (texts []string) {
	ctx := context.Background()
	a, err := w.store.Account(ctx, user)
	require.NoError(t, err)
	box, err := a.Mailbox(ctx, strings.Join(append(name, "INBOX")[:1], ""))
	require.NoError(t, err)
	for m, err := range box.Messages(ctx, 0) {
		require.NoError(t, err)
		body, err := box.Open(ctx, m.UID)
		require.NoError(t, err)
		text, err := io.ReadAll(message.NewReader(body))
		require.NoError(t, err)
		require.NoError(t, body.Close())
		texts = append(texts, string(text))
	}
	return texts
}

// queued returns what the queue holds, as "to destination".
func (w *world) queued(t testing.TB) (entries []string) {
	require.NoError(t, w.queue.List(context.Background(), func(e queue.Entry) bool {
		entries = append(entries, e.To.String()+" "+e.Destination)
		return true
	}))
	return entries
}

const trace = "Received: from client.test by mx.here.test id M1;\r\n\tMon, 02 Jan 2006 15:04:05 +0000\r\n"

const text = "Subject: hi\r\nDate: Mon, 02 Jan 2006 15:04:05 +0000\r\nMessage-ID: <1@client.test>\r\n\r\nhello\r\n"

func session() *smtp.Session {
	return &smtp.Session{ID: "S1", Remote: netip.MustParseAddrPort("192.0.2.1:1234")}
}

// mailTo builds a message as the engine hands it over; an empty sender is the null one.
func mailTo(t testing.TB, from string, to ...string) *smtp.Message {
	m := &smtp.Message{ID: "M1", Session: session(), Body: message.FromBytes([]byte(text)), Trace: []byte(trace), Received: time.Now()}
	index, err := message.Parse(m.Body, message.Limits{})
	require.NoError(t, err)
	m.Index = index
	if from != "" {
		m.Envelope.From = mail.MustParseAddress(from)
	}
	for _, a := range to {
		m.Envelope.Recipients = append(m.Envelope.Recipients, mail.Recipient{To: mail.MustParseAddress(a)})
	}
	return m
}

// replyOf runs Handle and returns its answer, which must be a Reply.
func (w *world) handle(t testing.TB, m *smtp.Message) *mail.Reply {
	err := w.Handle(context.Background(), m)
	r, ok := errors.AsType[*mail.Reply](err)
	require.True(t, ok, "%v", err)
	return r
}
