// Package memory is a mail queue in memory, for tests and for programs that
// can afford to lose what is queued when they end.
//
// It keeps every promise of package queue but durability and small memory:
// messages and their contents live in memory until they are settled, and nothing
// survives the process, so queuetest.RunDurable is not for it. It has the powers
// Lister, Administrator, Releaser and Limiter.
package memory

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/queue"
)

// Queue is a queue in memory. Make one with New.
type Queue struct {
	// Now is the queue's clock. Set it before the first use; New sets time.Now.
	Now func() time.Time

	mu           sync.Mutex
	closed       bool
	changed      chan struct{}
	limit        int // of claims per destination; 0: none
	lastID       queue.ID
	lastLease    uint64
	turns        uint64 // counts turns, for fairness
	messages     map[queue.ID]*held
	destinations map[string]*destination
	leases       map[uint64]*lease
}

var (
	_ queue.Queue         = (*Queue)(nil)
	_ queue.Lister        = (*Queue)(nil)
	_ queue.Administrator = (*Queue)(nil)
	_ queue.Releaser      = (*Queue)(nil)
	_ queue.Limiter       = (*Queue)(nil)
)

// held is a queued message with the recipients that are not settled for good.
type held struct {
	id         queue.ID
	envelope   mail.Envelope // without recipients
	received   time.Time
	session    string
	body       message.Body
	recipients []*recipient
}

// recipient is one recipient of a held message.
type recipient struct {
	*held
	index       int
	to          mail.Recipient
	destination string
	next        time.Time
	state       queue.State
	lease       *lease // nil: waiting in its destination
}

// New makes an empty queue.
func New() *Queue {
	return &Queue{
		Now:          time.Now,
		changed:      make(chan struct{}),
		messages:     make(map[queue.ID]*held),
		destinations: make(map[string]*destination),
		leases:       make(map[uint64]*lease),
	}
}

// Close refuses all further work. What is queued is lost with the Queue. A
// second Close does nothing.
func (q *Queue) Close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.closed = true
		q.notify()
	}
	return nil
}

// ready is what every method asks first, holding the lock.
func (q *Queue) ready(ctx context.Context) error {
	if q.closed {
		return queue.ErrClosed
	}
	return ctx.Err()
}

// notify tells those who wait on Next's channel.
func (q *Queue) notify() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// Put stores a copy of m.
func (q *Queue) Put(ctx context.Context, m *queue.Message) (queue.ID, error) {
	if err := m.Check(); err != nil {
		return 0, err
	}
	content, err := read(m)
	if err != nil {
		return 0, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.ready(ctx); err != nil {
		return 0, err
	}
	q.lastID++
	h := &held{id: q.lastID, envelope: m.Envelope, received: m.Received, session: m.Session, body: content}
	h.envelope.Recipients = nil
	if h.received.IsZero() {
		h.received = q.Now()
	}
	next := m.NotBefore
	if next.IsZero() {
		next = q.Now()
	}
	for i, to := range m.Envelope.Recipients {
		r := &recipient{held: h, index: i, to: to, destination: m.Destination(i), next: next}
		h.recipients = append(h.recipients, r)
		q.wait(r)
	}
	q.messages[h.id] = h
	q.notify()
	return h.id, nil
}

// read copies prefix and body into memory.
func read(m *queue.Message) (message.Body, error) {
	if m.Body == nil {
		return content(m.Prefix), nil
	}
	n := int64(len(m.Prefix))
	all := make([]byte, n+m.Body.Size())
	copy(all, m.Prefix)
	if _, err := io.ReadFull(io.NewSectionReader(m.Body, 0, m.Body.Size()), all[n:]); err != nil && err != io.EOF {
		return nil, fmt.Errorf("read the message: %w", err)
	}
	return content(all), nil
}

// content is a body in memory.
type content []byte

func (c content) Size() int64 { return int64(len(c)) }

func (c content) Close() error { return nil }

func (c content) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("offset %d", off)
	}
	if off >= int64(len(c)) {
		return 0, io.EOF
	}
	n := copy(p, c[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
