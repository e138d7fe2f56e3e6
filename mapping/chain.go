package mapping

import (
	"context"
	"errors"
	"fmt"

	"github.com/posthouse-mail/posthouse/mail"
)

// Chain returns a Mapper that asks others in turn: the first that knows a user
// decides. When one can't be asked, the answer is ErrUnavailable: a later one
// might know the user from older days, and "not mapped" might be wrong. A chain
// of none is ErrUnavailable too, for everybody: it is a mistake, and no reason
// to refuse anybody for good.
func Chain(links ...Mapper) Mapper { return chain(links) }

type chain []Mapper

func (c chain) Map(ctx context.Context, user string) (Route, error) {
	if len(c) == 0 {
		return Route{}, fmt.Errorf("%w: there is no map in the chain", ErrUnavailable)
	}
	for _, m := range c {
		r, err := m.Map(ctx, user)
		if err == nil {
			return r, nil
		}
		if err = ofKind(err); !errors.Is(err, ErrNotMapped) {
			return Route{}, err
		}
	}
	return Route{}, ErrNotMapped
}

// Default returns a Mapper that sends users whom next does not know to a
// default route, if allowed says so of their name in normal form (NormalName);
// nil allows nobody. InDomains and Everybody are such functions.
//
// The risk: whoever is missing in next, by a mistake or because he is just
// being moved, gets the default host's empty mailbox, or mail that belongs
// elsewhere; and with Everybody no address is ever unknown, so that mail for
// any name is accepted. Allow only names that can live at the default host.
// When next can't be asked the answer is ErrUnavailable, never the default.
func Default(next Mapper, route Route, allowed func(name string) bool) Mapper {
	return &fallback{next, Static(route), allowed}
}

type fallback struct {
	next, others Mapper
	allowed      func(string) bool
}

func (f *fallback) Unwrap() Mapper { return f.next }

func (f *fallback) Map(ctx context.Context, user string) (Route, error) {
	r, err := f.next.Map(ctx, user)
	if err == nil {
		return r, nil
	}
	if err = ofKind(err); !errors.Is(err, ErrNotMapped) {
		return Route{}, err
	}
	if name, ok := NormalName(user); !ok || f.allowed == nil || !f.allowed(name) {
		return Route{}, err
	}
	return f.others.Map(ctx, user)
}

// Everybody allows every name.
func Everybody(string) bool { return true }

// InDomains allows the addresses of domains, in whatever spelling those are.
func InDomains(domains ...string) func(name string) bool {
	in := make(map[string]bool, len(domains))
	for _, d := range domains {
		in[mail.DomainKey(d)] = true
	}
	return func(name string) bool { d := domainOf(name); return d != "" && in[d] }
}
