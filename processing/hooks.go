package processing

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/smtp"
	"github.com/posthouse-mail/posthouse/storage"
)

// Hooks returns the relay policy as hooks for a server:
//
//   - A recipient of a local domain must be known to the directory, and is
//     refused for the time being when none of the accounts that it leads to
//     has room for the message, as far as the store can tell and the client has
//     told its size (RFC 1870 §6.2), or all of them are being moved.
//   - A foreign recipient needs a client that has authenticated or comes from
//     a trusted network. Which network counts is decided by the session's
//     Remote alone: of whom a front end or proxy has not told that, it is
//     nobody's. A proxy that is unknown to the server must not be within one.
//   - An authenticated client sends under its own addresses (see SenderPolicy).
func (p *Processor) Hooks() smtp.Hooks {
	return smtp.Hooks{Mail: p.checkSender, Rcpt: p.checkRecipient}
}

// trusted reports whether an address may relay without authentication.
func (p *Processor) trusted(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return a.IsValid() && slices.ContainsFunc(p.o.Trusted, func(n netip.Prefix) bool { return n.Contains(a) })
}

func (p *Processor) mayRelay(s *smtp.Session) bool {
	return s.User != "" || p.trusted(s.Remote.Addr())
}

func (p *Processor) checkSender(ctx context.Context, s *smtp.Session, e *mail.Envelope) error {
	if s.User == "" || p.o.Senders == AnyAddress || e.From.IsNull() {
		return nil
	}
	local, err := p.local(ctx, e.From)
	if err != nil {
		return lookupFailed.Because(err)
	}
	if !local {
		return notYours
	}
	recipients, err := p.o.Directory.Resolve(ctx, e.From)
	if err != nil {
		if r := recipientReply(err); r.Temporary() {
			return r
		}
		return notYours.Because(err)
	}
	for _, r := range recipients {
		if r.Account == s.User {
			return nil
		}
	}
	return notYours
}

func (p *Processor) checkRecipient(ctx context.Context, s *smtp.Session, e *mail.Envelope, r *mail.Recipient) error {
	local, err := p.local(ctx, r.To)
	switch {
	case err != nil:
		return lookupFailed.Because(err)
	case !local && !p.mayRelay(s):
		return relayRefused
	case !local:
		return nil
	}
	to, err := p.o.Directory.Resolve(ctx, r.To)
	if err != nil {
		return recipientReply(err)
	}
	return p.checkRoom(ctx, to, e.Options.Size)
}

// checkRoom refuses a recipient when nobody that it leads to has room for a
// message of so many octets, 0 when nobody knows, or takes any now. Other trouble is left to the
// delivery.
func (p *Processor) checkRoom(ctx context.Context, to []directory.Recipient, size int64) error {
	store, ok := storage.As[storage.RoomChecker](p.o.Store)
	if !ok {
		return nil
	}
	var full error
	for _, d := range to {
		if !d.Forward.IsNull() {
			return nil
		}
		full = store.CheckRoom(ctx, d.Account, size)
		if !errors.Is(full, storage.ErrOverQuota) && !errors.Is(full, storage.ErrFrozen) {
			return nil
		}
	}
	if full == nil {
		return nil
	}
	return storageReply(full)
}
