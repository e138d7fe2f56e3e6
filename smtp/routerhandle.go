package smtp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
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
	batches, replies := r.sort(ctx, m.Envelope.Recipients)
	r.each(ctx, batches, func(b *batch) []*mail.Reply {
		if b.foreign {
			return r.foreign(ctx, m, b)
		}
		return r.leg(ctx, r.jobOf(m, b), m.Session, b)
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

// sort maps recipients into batches. Of those of whom nothing can be known now
// replies says why.
func (r *Router) sort(ctx context.Context, recipients []mail.Recipient) (batches []*batch, replies []*mail.Reply) {
	replies = make([]*mail.Reply, len(recipients))
	of := make(map[way]*batch)
	for i, rcpt := range recipients {
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
	none := len(failed) == len(replies)
	switch {
	case len(failed) == 0:
		return nil
	case none && (r.Queue == nil || !worst.Temporary()):
		return worst
	}
	err := r.enqueue(ctx, m, failed)
	switch {
	case err != nil && none: // the client keeps it
		r.log().LogAttrs(ctx, slog.LevelError, "message can't be queued",
			slog.String("session", m.Session.ID), slog.String("id", m.ID), slog.String("reason", quoted(err.Error())))
		return worst
	case err != nil:
		r.log().LogAttrs(ctx, slog.LevelError, "message was accepted for some recipients, and may arrive twice",
			slog.String("session", m.Session.ID), slog.String("id", m.ID), slog.String("reason", quoted(err.Error())))
		return mail.ErrTemporary.Because(err)
	}
	r.log().LogAttrs(ctx, slog.LevelInfo, "recipients queued",
		slog.String("session", m.Session.ID), slog.String("id", m.ID), slog.Int("recipients", len(failed)), slog.String("reason", quoted(worst.Error())))
	return nil
}

var errNoQueue = errors.New("there is no queue for the others")

func (r *Router) enqueue(ctx context.Context, m *Message, failed []mail.Recipient) error {
	if r.Queue == nil {
		return errNoQueue
	}
	e := m.Envelope
	e.Recipients = failed
	_, err := r.Queue.Put(ctx, &queue.Message{Envelope: e, Prefix: m.Trace, Body: m.Body, Received: m.Received, Session: m.Session.ID})
	return err
}
