package processing

import (
	"context"
	"errors"

	smtp "github.com/emersion/go-smtp"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/mail"
)

// plan is where the recipients of a letter lead.
type plan struct {
	*letter
	accounts []*target
	foreign  []*target
	found    []finding          // per recipient of the envelope
	known    map[string]*target // accounts and foreign addresses, by their keys
}

// finding is where one recipient leads.
type finding struct {
	err     error // why nowhere; nil when somewhere
	targets []*target
}

// target is an account or a foreign address that gets the letter once.
type target struct {
	account   accountKey     // of an account
	foreign   mail.Recipient // of a foreign address
	delivered mail.Address   // the address that led here first
	by        []int          // the recipients that lead here
	err       error          // why it did not get the letter
}

// plan finds out where the recipients of a letter lead.
func (p *Processor) plan(ctx context.Context, l *letter) *plan {
	pl := &plan{letter: l, found: make([]finding, len(l.envelope.Recipients)), known: make(map[string]*target)}
	for i, r := range l.envelope.Recipients {
		if l.account != (accountKey{}) {
			pl.add(i, target{account: l.account})
			continue
		}
		to, err := p.follow(ctx, r, make(map[string]bool))
		if err != nil {
			pl.found[i].err = err
			continue
		}
		for _, t := range to {
			pl.add(i, t)
		}
	}
	return pl
}

// add links recipient i to a target, which may be known from an earlier one.
func (pl *plan) add(i int, t target) {
	key := accountScheme + t.account.name
	if t.account.name == "" {
		key = t.foreign.To.Key()
	}
	known := pl.known[key]
	if known == nil {
		known = &t
		known.delivered = pl.envelope.Recipients[i].To
		pl.known[key] = known
		if t.account.name != "" {
			pl.accounts = append(pl.accounts, known)
		} else {
			pl.foreign = append(pl.foreign, known)
		}
	}
	known.by = append(known.by, i)
	pl.found[i].targets = append(pl.found[i].targets, known)
}

// follow resolves one recipient. A directory follows its aliases itself; what
// it forwards to another local address nevertheless is followed here, each
// address once. An error is about the recipient as a whole: nobody gets the
// letter in part while somebody else's fate is open.
func (p *Processor) follow(ctx context.Context, r mail.Recipient, seen map[string]bool) ([]target, error) {
	local, err := p.local(ctx, r.To)
	if err != nil {
		return nil, lookupFailed.Because(err)
	}
	if !local {
		return []target{{foreign: r}}, nil
	}
	seen[r.To.Key()] = true
	recipients, err := p.o.Directory.Resolve(ctx, r.To)
	if err != nil {
		return nil, recipientReply(err)
	}
	if len(recipients) == 0 {
		return nil, recipientReply(directory.ErrUnknown)
	}
	var to []target
	for _, d := range recipients {
		if d.Forward.IsNull() {
			if d.Account == "" {
				return nil, lookupFailed.Because(errors.New("the directory leads to nobody"))
			}
			to = append(to, target{account: accountKey{d.Account, d.Folder}})
			continue
		}
		if seen[d.Forward.Key()] {
			continue
		}
		more, err := p.follow(ctx, forwarded(r, d.Forward), seen)
		if err != nil {
			return nil, err
		}
		to = append(to, more...)
	}
	if len(to) == 0 {
		return nil, mail.Errorf(554, smtp.EnhancedCode{5, 4, 6}, "The address leads to itself")
	}
	return to, nil
}

// local reports whether an address is of this system; <postmaster> without a
// domain always is (RFC 5321 §4.5.1). Whose account is at another back end is
// reached as foreigners are.
func (p *Processor) local(ctx context.Context, a mail.Address) (bool, error) {
	if a.Domain() == "" {
		return true, nil
	}
	local, err := p.o.Directory.Local(ctx, mail.DomainKey(a.Domain()))
	if other, ok := directory.As[directory.Elsewhere](p.o.Directory); ok && local && err == nil {
		elsewhere, err := other.Elsewhere(ctx, a)
		return !elsewhere, err
	}
	return local, err
}

// forwarded is a recipient under a new address; the sender still knows it by
// the original one (RFC 3461 §5.2.1).
func forwarded(r mail.Recipient, to mail.Address) mail.Recipient {
	if r.Options.OriginalRecipient == "" {
		r.Options.OriginalRecipientType = smtp.DSNAddressTypeRFC822
		if r.To.NeedsUTF8() {
			r.Options.OriginalRecipientType = smtp.DSNAddressTypeUTF8
		}
		r.Options.OriginalRecipient = r.To.String()
	}
	r.To = to
	return r
}
