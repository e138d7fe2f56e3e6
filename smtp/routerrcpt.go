package smtp

import (
	"context"
	"errors"
	"strings"

	gosmtp "github.com/emersion/go-smtp"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
)

var (
	errNotMapped = reply(550, 5, 1, 1, "No such user here")
	errMapDown   = reply(451, 4, 4, 3, "Recipients can't be looked up now, please try again later")
)

// Hooks returns what a Server must ask for a Router: it decides about
// recipients.
func (r *Router) Hooks() Hooks { return Hooks{Rcpt: r.checkRecipient} }

// way is how mail for a recipient goes on; those with equal ways share a leg.
type way struct {
	foreign  bool
	host     string // in small letters
	port     int
	tls      mapping.TLSMode
	protocol proxy.Protocol
}

// String is for logs.
func (w *way) String() string { return mapping.Route{Host: w.host, Port: w.port}.String() }

// target is a recipient and where he is reached.
type target struct {
	way
	name string         // that was mapped
	rcpt mail.Recipient // as the back end gets him
}

// find maps a recipient.
func (r *Router) find(ctx context.Context, rcpt mail.Recipient) (target, *mail.Reply) {
	t := target{name: rcpt.To.String(), rcpt: rcpt}
	domain := rcpt.To.Domain()
	if domain != "" && r.Local != nil {
		local, err := r.Local(ctx, mail.DomainKey(domain))
		if err != nil {
			return t, errMapDown.Because(err)
		}
		if t.foreign = !local; t.foreign {
			return t, nil
		}
	}
	route, err := r.Front.Mapper.Map(ctx, t.name)
	switch {
	case errors.Is(err, mapping.ErrNotMapped):
		return t, errNotMapped.Because(err)
	case err != nil:
		return t, errMapDown.Because(err)
	}
	t.way = way{host: strings.ToLower(route.Host), port: route.Port, tls: route.TLS, protocol: proxy.LMTP}
	if r.Speak != nil {
		t.protocol = r.Speak(route)
	}
	if route.User != "" {
		t.rcpt = renamed(rcpt, route.User)
	}
	return t, nil
}

// renamed is a recipient under his name at the back end, whose domain may be
// left out. Reports still name him as the sender did (RFC 3461 §5.2.1). A name
// that is no address is not used.
func renamed(r mail.Recipient, name string) mail.Recipient {
	to, err := mail.ParseAddress(name)
	if !strings.Contains(name, "@") && r.To.Domain() != "" {
		to, err = mail.ParseAddress(name + "@" + r.To.Domain())
	}
	if err != nil {
		return r
	}
	if r.Options.OriginalRecipient == "" {
		r.Options.OriginalRecipientType, r.Options.OriginalRecipient = gosmtp.DSNAddressTypeRFC822, r.To.String()
		if r.To.NeedsUTF8() {
			r.Options.OriginalRecipientType = gosmtp.DSNAddressTypeUTF8
		}
	}
	r.To = to
	return r
}

// checkRecipient is the Rcpt hook.
func (r *Router) checkRecipient(ctx context.Context, s *Session, e *mail.Envelope, rcpt *mail.Recipient) error {
	t, unknown := r.find(ctx, *rcpt)
	switch {
	case unknown != nil:
		return unknown
	case t.foreign && (r.Relay == nil || r.Foreign == nil):
		return errNoRelay
	case t.foreign:
		if r := refusal(r.Relay(ctx, s, e, rcpt)); r != nil {
			return r
		}
	}
	return nil
}
