package smtp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/proxy"
	"github.com/posthouse-mail/posthouse/smtp/sender"
)

var (
	errBackendDown = reply(451, 4, 4, 1, "The recipient's mail host is not available, please try again later")
	errCircle      = reply(554, 5, 4, 6, "Mail for this recipient goes in a circle")
	errLegTLS      = reply(550, 5, 7, 30, "The recipient's mail host is not reached over TLS")
)

var errMoved = errors.New("the recipient has just moved")

// jobOf is what a leg has to do for a message that arrives.
func jobOf(m *Message) *sender.Job {
	return &sender.Job{ID: m.ID, Envelope: m.Envelope, Body: message.Join(m.Trace, m.Body), Terms: sender.Exact}
}

// leg sends a job to the back end of a batch. A nil reply is success.
func (r *Router) leg(ctx context.Context, j *sender.Job, s *Session, b *batch) []*mail.Reply {
	replies := make([]*mail.Reply, len(b.at))
	for i, result := range r.send(ctx, j, s, b) {
		if result.Reply.Code/100 != 2 {
			replies[i] = ofTransaction(result.Reply)
		}
	}
	return replies
}

// ofTransaction makes a back end's last word to us one that does not close the
// client's connection too.
func ofTransaction(r *mail.Reply) *mail.Reply {
	c := *r
	switch r.Code {
	case 421:
		c.Code = 451
	case 521:
		c.Code = 554
	}
	return &c
}

// send is leg, with what else is known.
func (r *Router) send(ctx context.Context, j *sender.Job, s *Session, b *batch) []sender.Result {
	r.once.Do(r.prepare)
	link, err := r.connect(ctx, s, b)
	if err != nil {
		return b.results(r.unreachable(ctx, j, b, err))
	}
	defer link.Close()
	h := &hop{link: link, name: r.hostname()}
	if err := h.begin(ctx, s); err != nil {
		if !errors.Is(err, proxy.ErrUnfit) && ctx.Err() == nil {
			link.Failed(err)
		}
		return b.results(r.unreachable(ctx, j, b, err))
	}
	link.LoggedIn()
	if j.Envelope.Options.RequireTLS && link.TLS() == nil {
		return b.results(errLegTLS)
	}
	leg := *j
	leg.Domain, leg.Hello = b.host, h.name
	leg.Route.Protocol = sender.SMTP
	if b.protocol == proxy.LMTP {
		leg.Route.Protocol = sender.LMTP
	}
	leg.Envelope.Recipients = make([]mail.Recipient, len(b.targets))
	for i, t := range b.targets {
		leg.Envelope.Recipients[i] = t.rcpt
	}
	results := r.sender.SendOver(ctx, &hopConn{link: link}, b.host, &leg)
	r.logPutOff(ctx, j, b, results)
	return results
}

// logPutOff tells of a back end that has not taken a message for now, or of
// which nobody knows whether it has.
func (r *Router) logPutOff(ctx context.Context, j *sender.Job, b *batch, results []sender.Result) {
	off := 0
	var reason *mail.Reply
	for _, result := range results {
		if result.Reply.Temporary() {
			off, reason = off+1, result.Reply
		}
	}
	if off == 0 {
		return
	}
	r.log().LogAttrs(ctx, slog.LevelWarn, "back end puts recipients off",
		slog.String("id", j.ID), slog.String("backend", b.String()), slog.Int("recipients", off), slog.String("reason", quoted(reason.Error())))
}

// connect reaches the back end of a batch, by the name of its first recipient.
func (r *Router) connect(ctx context.Context, s *Session, b *batch) (*proxy.Link, error) {
	link, err := r.Front.Reach(ctx, b.targets[0].name, s.client(b.protocol))
	if err != nil {
		return nil, err
	}
	if to := link.Route(); strings.ToLower(to.Host) != b.host || to.Port != b.port {
		link.Close()
		return nil, fmt.Errorf("%w: to %s", errMoved, to)
	}
	return link, nil
}

func (b *batch) results(reply *mail.Reply) []sender.Result {
	results := make([]sender.Result, len(b.at))
	for i := range results {
		results[i] = sender.Result{Reply: reply, Host: b.host}
	}
	return results
}

// unreachable is the answer when no mail was sent.
func (r *Router) unreachable(ctx context.Context, j *sender.Job, b *batch, err error) *mail.Reply {
	r.log().LogAttrs(ctx, slog.LevelWarn, "back end not usable",
		slog.String("id", j.ID), slog.String("backend", b.String()), slog.String("reason", quoted(err.Error())))
	if errors.Is(err, proxy.ErrLoop) {
		return errCircle.Because(err)
	}
	return errBackendDown.Because(err)
}

// Send sends a job of the queue: to recipients in domains of the cluster as
// Handle does, to others by Onward. It makes a Router the sender of a
// processing.Processor, whose directory knows no local domains then. Back ends
// are told of no client, since none is there.
func (r *Router) Send(ctx context.Context, j *sender.Job) []sender.Result {
	results := make([]sender.Result, len(j.Envelope.Recipients))
	batches, unknown := r.sort(ctx, j.Envelope.Recipients, nil)
	for i, reply := range unknown {
		results[i].Reply = reply
	}
	s := &Session{ID: j.ID}
	for _, b := range batches {
		sent := b.results(errBackendDown.Because(errors.New("there is no way to other domains")))
		switch {
		case !b.foreign:
			sent = r.send(ctx, j, s, b)
		case r.Onward != nil:
			onward := *j
			onward.Envelope.Recipients = nil
			for _, t := range b.targets {
				onward.Envelope.Recipients = append(onward.Envelope.Recipients, t.rcpt)
			}
			sent = r.Onward.Send(ctx, &onward)
		}
		for i, at := range b.at {
			results[at] = sent[i]
		}
	}
	return results
}
