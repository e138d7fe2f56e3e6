package processing

import (
	"context"
	"slices"
	"time"

	smtp "github.com/emersion/go-smtp"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/queue"
	"github.com/posthouse-mail/posthouse/storage"
)

// Submitter is the optional power of a queue that shares its log with the
// store: one durable record holds the body, the deliveries and the queue entry,
// or none of them. Either of d and m may be nil. It is found by queue.As.
type Submitter interface {
	Submit(ctx context.Context, d *storage.Delivery, m *queue.Message) ([]storage.Receipt, queue.ID, error)
}

// distribute gives a letter to the accounts and the queue that its recipients
// lead to. Afterwards the plan says of every recipient and target what became of
// it. An error means that nothing was stored.
func (p *Processor) distribute(ctx context.Context, l *letter) (*plan, error) {
	pl := p.plan(ctx, l)
	d, m := pl.delivery(), pl.queued()
	receipts, err := p.store(ctx, d, m)
	if err != nil {
		return nil, storageReply(err)
	}
	for i, r := range receipts {
		if r.Err != nil {
			pl.accounts[i].err = storageReply(r.Err)
		}
	}
	return pl, nil
}

// store makes both sides durable. Without a common record the queue comes
// first: what the store then refuses can still be queued or reported.
func (p *Processor) store(ctx context.Context, d *storage.Delivery, m *queue.Message) ([]storage.Receipt, error) {
	if d != nil && m != nil {
		if s, ok := queue.As[Submitter](p.o.Queue); ok {
			receipts, _, err := s.Submit(ctx, d, m)
			return receipts, err
		}
	}
	if m != nil {
		if _, err := p.o.Queue.Put(ctx, m); err != nil {
			return nil, err
		}
	}
	if d == nil {
		return nil, nil
	}
	receipts, err := p.o.Store.Deliver(ctx, d)
	if err != nil && m != nil {
		receipts = make([]storage.Receipt, len(d.Targets))
		for i := range receipts {
			receipts[i].Err = err
		}
		return receipts, nil
	}
	return receipts, err
}

// delivery is the local side of a plan; nil when there is none.
func (pl *plan) delivery() *storage.Delivery {
	if len(pl.accounts) == 0 {
		return nil
	}
	d := &storage.Delivery{Body: pl.body, Index: pl.index, Date: pl.received, Targets: make([]storage.Target, len(pl.accounts))}
	for i, t := range pl.accounts {
		d.Targets[i] = storage.Target{
			User: t.account.name, Mailbox: t.account.folder, Create: t.account.folder != "", Prefix: pl.prefix(t.delivered),
		}
	}
	return d
}

// queued is the foreign side of a plan; nil when there is none.
func (pl *plan) queued() *queue.Message {
	if len(pl.foreign) == 0 {
		return nil
	}
	recipients := make([]mail.Recipient, len(pl.foreign))
	for i, t := range pl.foreign {
		recipients[i] = t.foreign
	}
	return pl.message(recipients)
}

// message is a queue entry of this letter for some recipients.
func (l *letter) message(to []mail.Recipient) *queue.Message {
	m := &queue.Message{Envelope: l.envelope, Prefix: l.trace, Body: l.body, Received: l.received, Session: l.session}
	m.Envelope.Recipients = to
	return m
}

// failures returns, per recipient, why nobody got the letter for it; nil
// where somebody did.
func (pl *plan) failures() []error {
	errs := make([]error, len(pl.found))
	for i, f := range pl.found {
		if f.err != nil {
			errs[i] = f.err
			continue
		}
		var failed []error
		for _, t := range f.targets {
			if t.err != nil {
				failed = append(failed, t.err)
			}
		}
		if len(failed) == len(f.targets) {
			errs[i] = oneReply(failed)
		}
	}
	return errs
}

// keep takes on what distribute could not do: temporary failures wait in the
// queue, permanent ones are reported. The recipients in answered are left
// out, they have been told, and so are targets that only those led to. An
// error means that not all of it is in safe hands.
func (p *Processor) keep(ctx context.Context, pl *plan, answered []error) error {
	var waiting []mail.Recipient
	var destinations []string
	var failed []fate
	add := func(i int, k accountKey, err error) {
		r, to := mail.AsReply(err), pl.envelope.Recipients[i]
		if pl.reached(i) {
			to.Options.Notify = withoutSuccess(to.Options.Notify)
		}
		if !r.Temporary() {
			failed = append(failed, fate{recipient: to, action: actionFailed, reply: r})
			return
		}
		waiting = append(waiting, to)
		destinations = append(destinations, p.orDomain(k, to.To))
	}
	for i, f := range pl.found {
		if f.err != nil && answered[i] == nil {
			add(i, accountKey{}, f.err)
		}
	}
	for _, t := range pl.accounts {
		if t.err == nil {
			continue
		}
		for _, i := range t.by {
			if answered[i] == nil {
				add(i, t.account, t.err)
				break
			}
		}
	}
	if len(waiting) > 0 {
		m := pl.message(waiting)
		m.Destinations = destinations
		m.NotBefore, _ = p.o.Schedule.Next(1, time.Now(), time.Now())
		if _, err := p.o.Queue.Put(ctx, m); err != nil {
			return storageReply(err)
		}
	}
	return p.report(ctx, pl.letter, failed)
}

// reached reports whether recipient i reached a mailbox here.
func (pl *plan) reached(i int) bool {
	return slices.ContainsFunc(pl.found[i].targets, func(t *target) bool { return t.err == nil && t.account.name != "" })
}

// withoutSuccess is NOTIFY for the rest of a recipient whose success is told
// already.
func withoutSuccess(n []smtp.DSNNotify) []smtp.DSNNotify {
	rest := slices.DeleteFunc(slices.Clone(n), func(v smtp.DSNNotify) bool { return v == smtp.DSNNotifySuccess })
	if len(n) > 0 && len(rest) == 0 {
		return []smtp.DSNNotify{smtp.DSNNotifyNever}
	}
	return rest
}

// deliveredFates says which recipients reached a mailbox here, for those who
// asked to be told.
func (pl *plan) deliveredFates() (fates []fate) {
	for i := range pl.found {
		if pl.reached(i) {
			fates = append(fates, fate{recipient: pl.envelope.Recipients[i], action: actionDelivered, reply: delivered})
		}
	}
	return fates
}
