package processing

import (
	"context"
	"slices"
	"time"

	smtp "github.com/emersion/go-smtp"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
)

// action is what a report says of a recipient (RFC 3464 §2.3.3).
type action string

const (
	actionFailed    action = "failed"
	actionDelayed   action = "delayed"
	actionDelivered action = "delivered"
	actionRelayed   action = "relayed"
)

// fate is what became of one recipient, as a report tells it.
type fate struct {
	recipient mail.Recipient
	action    action
	reply     *mail.Reply // the last one
	host      string      // that said it; empty: this system
	until     time.Time   // of a delay: when it will be given up
}

// report tells the sender of a letter what became of recipients, as far as
// anybody may be told. The report is as safe as the letter when report
// returns nil.
func (p *Processor) report(ctx context.Context, l *letter, fates []fate) error {
	fates = slices.DeleteFunc(slices.Clone(fates), func(f fate) bool { return !p.wanted(l, f) })
	for len(fates) > 0 {
		kind := fates[0].action
		var same, others []fate
		for _, f := range fates {
			if f.action == kind {
				same = append(same, f)
			} else {
				others = append(others, f)
			}
		}
		if err := p.submitReport(ctx, l, same); err != nil {
			return err
		}
		fates = others
	}
	return nil
}

// wanted reports whether the sender of a letter is to be told (RFC 3461 §4.1,
// RFC 3464 §2): never when there is none, and otherwise as NOTIFY says.
func (p *Processor) wanted(l *letter, f fate) bool {
	if l.envelope.From.IsNull() {
		return false
	}
	notify := f.recipient.Options.Notify
	switch f.action {
	case actionFailed:
		return len(notify) == 0 || slices.Contains(notify, smtp.DSNNotifyFailure)
	case actionDelayed:
		return slices.Contains(notify, smtp.DSNNotifyDelayed) || len(notify) == 0 && p.o.DelayNotices == DelayAlways
	}
	return slices.Contains(notify, smtp.DSNNotifySuccess)
}

// submitReport writes one report and sends it through the same door as every
// other message, with a null sender.
func (p *Processor) submitReport(ctx context.Context, about *letter, fates []fate) error {
	now := time.Now()
	r := &report{
		hostname: p.o.Hostname, postmaster: p.o.Postmaster, now: now, id: newReportID(),
		about: about, fates: fates, maxReturn: p.o.MaxReturn,
	}
	content, err := r.compose()
	if err != nil {
		return mail.ErrTemporary.Because(err)
	}
	l := &letter{
		id: r.id, session: about.session, received: now, trace: r.trace(), body: message.FromBytes(content),
		envelope: mail.Envelope{
			Options:    smtp.MailOptions{Body: smtp.Body8BitMIME, UTF8: r.utf8()},
			Recipients: []mail.Recipient{{To: about.envelope.From, Options: smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifyNever}}}},
		},
	}
	pl, err := p.distribute(ctx, l)
	if err != nil {
		return err
	}
	log := p.o.Logger.With("report", l.id, "about", about.id, "action", fates[0].action, "to", about.envelope.From.String())
	if failed := pl.failures()[0]; failed != nil && !mail.AsReply(failed).Temporary() {
		log.WarnContext(ctx, "report can't be delivered and is dropped", "err", failed)
		return nil
	}
	log.InfoContext(ctx, "report sent", "recipients", len(fates))
	return p.keep(ctx, pl, make([]error, 1))
}
