package processing

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/queue"
	"github.com/posthouse-mail/posthouse/smtp/sender"
)

// attempt tries once to deliver a claim and settles it.
func (p *Processor) attempt(work context.Context, c queue.Claim) {
	ctx, cancel := context.WithDeadline(work, c.Until.Add(-p.o.Lease/20)) // time to settle before the lease ends
	defer cancel()
	defer p.survive(work, c)
	l := &letter{
		id: strconv.FormatUint(uint64(c.ID), 10), session: c.Session, envelope: c.Envelope, body: c.Body, received: c.Received,
	}
	l.account, _ = parseAccount(c.Destination)
	results := p.try(ctx, l, c.Destination)
	if work.Err() != nil && !anyFinal(results) { // interrupted: no fault of the destination's
		p.release(work, c)
		return
	}
	after, cancel := context.WithDeadline(context.WithoutCancel(work), c.Until)
	defer cancel()
	outcomes := p.judge(after, l, c, results)
	p.settle(after, c, outcomes)
	p.wake(after, c, results)
}

// survive keeps one message from taking the others down with it: when its
// attempt panics, it waits for its next one like after any failure.
func (p *Processor) survive(ctx context.Context, c queue.Claim) {
	v := recover()
	if v == nil {
		return
	}
	p.o.Logger.ErrorContext(ctx, "attempt panicked", "id", c.ID, "panic", v, "stack", string(debug.Stack()))
	now := time.Now()
	outcomes := make([]queue.Outcome, len(c.Envelope.Recipients))
	for i := range outcomes {
		outcomes[i].Reply = mail.ErrTemporary.Because(fmt.Errorf("panic: %v", v))
		outcomes[i].Retry, _ = p.o.Schedule.Next(attempts(c)+1, now, now)
	}
	p.settle(ctx, c, outcomes)
}

// try delivers a letter here or sends it on. It returns a result per recipient.
func (p *Processor) try(ctx context.Context, l *letter, destination string) []sender.Result {
	local := l.account.name != ""
	if !local {
		var err error
		if local, err = p.local(ctx, l.envelope.Recipients[0].To); err != nil {
			return same(l, lookupFailed.Because(err))
		}
	}
	if local {
		return p.tryHere(ctx, l)
	}
	route, err := p.o.Router.Route(ctx, l.envelope.From, destination)
	if err != nil {
		return same(l, mail.AsReply(err))
	}
	way := wayOf(destination, route)
	if r := p.cold.check(way, time.Now()); r != nil {
		return same(l, r)
	}
	results := p.o.Sender.Send(ctx, &sender.Job{ID: l.id, Domain: destination, Route: route, Envelope: l.envelope, Body: l.body})
	if ctx.Err() == nil {
		p.cold.note(way, results, time.Now().Add(p.o.Cooling))
	}
	return results
}

// tryHere delivers a queued letter to local mailboxes.
func (p *Processor) tryHere(ctx context.Context, l *letter) []sender.Result {
	pl, err := p.distribute(ctx, l)
	if err != nil {
		return same(l, mail.AsReply(err))
	}
	errs := pl.failures()
	if err := p.keep(ctx, pl, errs); err != nil {
		return same(l, mail.AsReply(err))
	}
	p.tell(ctx, pl)
	results := make([]sender.Result, len(errs))
	for i, err := range errs {
		results[i] = sender.Result{Reply: delivered, DSN: true} // told already
		if err != nil {
			results[i].Reply = mail.AsReply(err)
		}
	}
	return results
}

// tell reports deliveries to those who asked for it.
func (p *Processor) tell(ctx context.Context, pl *plan) {
	if err := p.report(ctx, pl.letter, pl.deliveredFates()); err != nil {
		p.o.Logger.WarnContext(ctx, "success not reported", "id", pl.id, "err", err)
	}
}

func same(l *letter, r *mail.Reply) []sender.Result {
	results := make([]sender.Result, len(l.envelope.Recipients))
	for i := range results {
		results[i].Reply = r
	}
	return results
}

func anyFinal(results []sender.Result) bool {
	for _, r := range results {
		if !r.Reply.Temporary() {
			return true
		}
	}
	return false
}

// judge turns results into outcomes, and reports what the sender must know.
// What could not be reported stays in the queue and is tried again.
func (p *Processor) judge(ctx context.Context, l *letter, c queue.Claim, results []sender.Result) []queue.Outcome {
	now := time.Now()
	retry, alive := p.o.Schedule.Next(attempts(c)+1, c.Received, now)
	outcomes := make([]queue.Outcome, len(results))
	fates := make([]fate, 0, len(results))
	for i, r := range results {
		f := fate{recipient: c.Envelope.Recipients[i], reply: r.Reply, host: r.Host}
		outcomes[i] = queue.Outcome{Done: true, Reply: r.Reply}
		switch {
		case r.Reply.Code/100 == 2:
			f.action = actionRelayed
			if r.DSN {
				continue // the next hop reports
			}
		case !r.Reply.Temporary():
			f.action = actionFailed
		case !alive:
			f.action = actionFailed
			f.reply = expired.Because(r.Reply)
			f.reply.Text += ": " + diagnostic(r.Reply)
		default:
			outcomes[i].Done, outcomes[i].Retry = false, retry
			if c.States[i].Delayed || now.Sub(c.Received) < p.o.DelayAfter {
				continue
			}
			f.action, f.until = actionDelayed, c.Received.Add(p.o.Schedule.Lifetime)
			outcomes[i].Delayed = true
		}
		fates = append(fates, f)
	}
	p.log(ctx, c, results, outcomes)
	if err := p.report(ctx, l, fates); err != nil {
		p.o.Logger.ErrorContext(ctx, "sender not told, trying again", "id", c.ID, "err", err)
		again, _ := p.o.Schedule.Next(1, now, now)
		for i, r := range results {
			if outcomes[i].Done && r.Reply.Code/100 != 2 {
				outcomes[i].Done, outcomes[i].Retry = false, again
			}
			outcomes[i].Delayed = false
		}
	}
	return outcomes
}

// attempts is how often the most tried recipient of a claim was tried.
func attempts(c queue.Claim) (n int) {
	for _, s := range c.States {
		n = max(n, s.Attempts)
	}
	return n
}

// log writes a line for each recipient: what postmasters look for.
func (p *Processor) log(ctx context.Context, c queue.Claim, results []sender.Result, outcomes []queue.Outcome) {
	for i, r := range results {
		what := "bounced"
		switch {
		case r.Reply.Code/100 == 2:
			what = "sent"
		case !outcomes[i].Done:
			what = "deferred"
		}
		p.o.Logger.InfoContext(ctx, what, "id", c.ID, "session", c.Session, "from", c.From.String(),
			"to", c.Envelope.Recipients[i].To.String(), "destination", c.Destination, "host", r.Host,
			"attempt", c.States[i].Attempts+1, "delay", time.Since(c.Received).Round(time.Second), "reply", r.Reply.Error())
	}
}

// wake makes other mail for a destination due that was out of reach before
// and has just answered.
func (p *Processor) wake(ctx context.Context, c queue.Claim, results []sender.Result) {
	for i, r := range results {
		last := c.States[i].Last
		if r.Reply.Code/100 != 2 || last == nil || !isOutOfReach(last) {
			continue
		}
		if a, ok := queue.As[queue.Administrator](p.o.Queue); ok {
			if _, err := a.Wake(ctx, c.Destination); err != nil && !errors.Is(err, queue.ErrClosed) {
				p.o.Logger.WarnContext(ctx, "destination not woken", "destination", c.Destination, "err", err)
			}
		}
		return
	}
}
