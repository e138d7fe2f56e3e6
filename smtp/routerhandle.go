package smtp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/queue"
)

// batch are the recipients of a message that go the same way.
type batch struct {
	way
	at      []int // in the envelope
	targets []target
}

// Handle sends a message to the back ends of its recipients; see Router for
// what it answers.
func (r *Router) Handle(ctx context.Context, m *Message) error {
	batches, replies := r.sort(ctx, m.Envelope.Recipients, r.whoHas(m))
	r.each(ctx, batches, func(b *batch) []*mail.Reply {
		if b.foreign {
			return r.foreign(ctx, m, b)
		}
		return r.leg(ctx, jobOf(m), m.Session, b)
	}, replies)
	if m.Session.Protocol == LMTP {
		each := make(RecipientErrors, len(replies))
		for i, reply := range replies {
			if reply != nil {
				each[i] = reply
			}
		}
		return each
	}
	return r.oneAnswer(ctx, m, replies)
}

// whoHas says who of a message's recipients has it of an earlier attempt; nil:
// nobody has.
func (r *Router) whoHas(m *Message) []bool {
	had, err := r.taken.among(m)
	if err != nil {
		r.logAgain(m, err)
	}
	return had
}

// logAgain tells why recipients may get a message twice.
func (r *Router) logAgain(m *Message, err error) {
	r.log().LogAttrs(context.Background(), slog.LevelWarn, "message was accepted for some recipients, and may arrive twice",
		slog.String("session", m.Session.ID), slog.String("id", m.ID), slog.String("reason", quoted(err.Error())))
}

// sort maps recipients into batches, but for those who have the message. Of
// those of whom nothing can be known now replies says why.
func (r *Router) sort(ctx context.Context, recipients []mail.Recipient, had []bool) (batches []*batch, replies []*mail.Reply) {
	replies = make([]*mail.Reply, len(recipients))
	of := make(map[way]*batch)
	for i, rcpt := range recipients {
		if had != nil && had[i] {
			continue
		}
		t, unknown := r.find(ctx, rcpt)
		if unknown != nil {
			replies[i] = unknown
			continue
		}
		b, ok := of[t.way]
		if !ok {
			b = &batch{way: t.way}
			of[t.way], batches = b, append(batches, b)
		}
		b.at, b.targets = append(b.at, i), append(b.targets, t)
	}
	return batches, replies
}

// each sends batches, some at a time, and notes what is answered: nil is
// success.
func (r *Router) each(ctx context.Context, batches []*batch, send func(*batch) []*mail.Reply, replies []*mail.Reply) {
	atOnce := r.Legs
	setDefault(&atOnce, 20)
	places := make(chan struct{}, atOnce)
	var wait sync.WaitGroup
	for _, b := range batches {
		places <- struct{}{}
		wait.Go(func() {
			defer func() { <-places }()
			for i, reply := range r.survive(ctx, b, send) {
				replies[b.at[i]] = reply
			}
		})
	}
	wait.Wait()
}

// survive keeps one leg from taking the other sessions down with it.
func (r *Router) survive(ctx context.Context, b *batch, send func(*batch) []*mail.Reply) (replies []*mail.Reply) {
	defer func() {
		if v := recover(); v != nil {
			r.log().ErrorContext(ctx, "leg panicked", "backend", b.String(), "panic", v, "stack", string(debug.Stack()))
			replies = b.all(mail.ErrTemporary.Because(fmt.Errorf("panic: %v", v)))
		}
	}()
	return send(b)
}

// all is one reply for all of a batch.
func (b *batch) all(reply *mail.Reply) []*mail.Reply {
	replies := make([]*mail.Reply, len(b.at))
	for i := range replies {
		replies[i] = reply
	}
	return replies
}

// foreign has the Foreign handler take the message over for its recipients.
func (r *Router) foreign(ctx context.Context, m *Message, b *batch) []*mail.Reply {
	if r.Foreign == nil {
		return b.all(errNoRelay)
	}
	part := *m
	part.Envelope.Recipients = make([]mail.Recipient, len(b.at))
	for i, t := range b.targets {
		part.Envelope.Recipients[i] = t.rcpt
	}
	err := r.Foreign.Handle(ctx, &part)
	each, ok := errors.AsType[RecipientErrors](err)
	if !ok || len(each) != len(b.at) || m.Session.Protocol != LMTP {
		return b.all(refusal(err))
	}
	replies := make([]*mail.Reply, len(each))
	for i, err := range each {
		replies[i] = refusal(err)
	}
	return replies
}

// oneAnswer makes one honest answer of many.
func (r *Router) oneAnswer(ctx context.Context, m *Message, replies []*mail.Reply) error {
	var failed []mail.Recipient
	var worst *mail.Reply
	for i, reply := range replies {
		if reply == nil {
			continue
		}
		failed = append(failed, m.Envelope.Recipients[i])
		if worst == nil || reply.Temporary() && !worst.Temporary() {
			worst = reply
		}
	}
	switch {
	case len(failed) == 0:
		return nil
	case r.Queue == nil:
		return r.strictest(m, replies, worst)
	case !slices.Contains(replies, nil) && !worst.Temporary():
		return worst
	}
	if err := r.enqueue(ctx, m, failed); err != nil {
		r.log().LogAttrs(ctx, slog.LevelError, "message can't be queued",
			slog.String("session", m.Session.ID), slog.String("id", m.ID), slog.String("reason", quoted(err.Error())))
		if !worst.Temporary() { // the sender is not told of it here, but by the queue
			worst = mail.ErrTemporary.Because(err)
		}
		return r.strictest(m, replies, worst)
	}
	r.log().LogAttrs(ctx, slog.LevelInfo, "recipients queued",
		slog.String("session", m.Session.ID), slog.String("id", m.ID), slog.Int("recipients", len(failed)), slog.String("reason", quoted(worst.Error())))
	return nil
}

// strictest answers a client who has to keep the message, since some have not
// accepted it. Those who have don't get it once more when it is sent again.
func (r *Router) strictest(m *Message, replies []*mail.Reply, worst *mail.Reply) error {
	switch {
	case !slices.Contains(replies, nil):
		return worst
	case !worst.Temporary():
		c := *worst
		c.Text = "The others have the message, but for some: " + worst.Text
		return &c
	}
	if err := r.taken.note(m, replies); err != nil {
		r.logAgain(m, err)
	}
	return worst
}

func (r *Router) enqueue(ctx context.Context, m *Message, failed []mail.Recipient) error {
	e := m.Envelope
	e.Recipients = failed
	_, err := r.Queue.Put(ctx, &queue.Message{Envelope: e, Prefix: m.Trace, Body: m.Body, Received: m.Received, Session: m.Session.ID})
	return err
}
