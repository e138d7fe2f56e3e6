package processing

import (
	"context"
	"strings"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/smtp/sender"
)

// Router picks the way of a message to a foreign destination.
type Router interface {
	// Route returns the route for mail from a sender to a destination, which
	// is the key of a domain. The zero Route is the destination's MX hosts. A
	// *mail.Reply as error is the result of the attempt; any other error makes
	// the attempt a temporary failure.
	Route(ctx context.Context, from mail.Address, destination string) (sender.Route, error)
}

// RouterFunc lets a function be a Router.
type RouterFunc func(ctx context.Context, from mail.Address, destination string) (sender.Route, error)

// Route calls f.
func (f RouterFunc) Route(ctx context.Context, from mail.Address, destination string) (sender.Route, error) {
	return f(ctx, from, destination)
}

// Rule sends mail by a route of its own: through a smart host, mostly.
type Rule struct {
	From  []string // domains or whole addresses of senders; empty: all
	To    []string // domains of recipients; empty: all
	Route sender.Route
}

// Rules is a Router: the first Rule that fits decides, and without one mail
// goes to the MX hosts. A domain that begins with a dot stands for all below it.
type Rules []Rule

// Route returns the route of the first rule that fits.
func (r Rules) Route(_ context.Context, from mail.Address, destination string) (sender.Route, error) {
	for i := range r {
		if r[i].fits(from, destination) {
			return r[i].Route, nil
		}
	}
	return sender.Route{}, nil
}

func (r *Rule) fits(from mail.Address, destination string) bool {
	return anyFits(r.From, from.Key(), mail.DomainKey(from.Domain())) && anyFits(r.To, "", destination)
}

func anyFits(patterns []string, address, domain string) bool {
	for _, p := range patterns {
		switch {
		case strings.HasPrefix(p, "."):
			if strings.HasSuffix(domain, mail.DomainKey(p)) {
				return true
			}
		case strings.Contains(p, "@"):
			if strings.EqualFold(p, address) {
				return true
			}
		case mail.DomainKey(p) == domain:
			return true
		}
	}
	return len(patterns) == 0
}
