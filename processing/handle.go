package processing

import (
	"context"
	"slices"

	gosmtp "github.com/emersion/go-smtp"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/smtp"
)

var _ smtp.Handler = (*Processor)(nil)

// Handle takes a message over; it makes a Processor an smtp.Handler. When it
// returns a 2xx Reply, every recipient is in a mailbox or in the queue, or its
// failure is reported. Over SMTP any other Reply means that the client keeps
// the message; over LMTP, RecipientErrors say which recipients it keeps.
func (p *Processor) Handle(ctx context.Context, m *smtp.Message) error {
	l := &letter{
		id: m.ID, session: m.Session.ID, envelope: m.Envelope, trace: m.Trace,
		body: m.Body, index: m.Index, received: m.Received,
	}
	if isSubmission(m.Session) {
		l.trace = append(slices.Clip(l.trace), p.missingFields(l)...)
	}
	pl, err := p.distribute(ctx, l)
	if err != nil {
		return err
	}
	errs := pl.failures()
	if !slices.Contains(errs, nil) {
		if m.Session.Protocol == smtp.LMTP {
			return smtp.RecipientErrors(errs)
		}
		return oneReply(errs)
	}
	answered := make([]error, len(errs))
	if m.Session.Protocol == smtp.LMTP {
		answered = errs
	}
	if err := p.keep(ctx, pl, answered); err != nil {
		return err
	}
	p.tell(ctx, pl)
	if slices.ContainsFunc(answered, func(err error) bool { return err != nil }) {
		return smtp.RecipientErrors(errs)
	}
	return &mail.Reply{Code: 250, Enhanced: gosmtp.EnhancedCode{2, 0, 0}, Text: "Accepted as " + m.ID}
}

// isSubmission reports whether a message is fresh from its author.
func isSubmission(s *smtp.Session) bool {
	return s.Protocol == smtp.Submission || s.User != ""
}
