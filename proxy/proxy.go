// Package proxy is what the proxies of all protocols share: where a user
// lives, how his back end is reached and what it is told of the client, who is
// connected, and how octets are moved. Packages imap, pop3, smtp and
// managesieve have the Proxy of each protocol, on the same front as their
// servers.
//
// Invariants of this package:
//
//   - A front end keeps no mail and nothing that another front end would need:
//     killing it loses nothing.
//   - Through one front end, no user is connected to two back ends at the same
//     moment.
//   - That a map, a network or a back end failed is never told to a client as
//     a wrong password, and never as an unknown user.
//   - Credentials go to a back end only after its certificate was verified,
//     where TLS is asked for.
//   - A back end that is down costs one login at a time its patience, and no
//     client whom a back end refuses can make it look down for others.
//   - A pair of connections on which nothing happens holds no buffer, no pipe
//     and no timer of its own.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/posthouse-mail/posthouse/mapping"
)

// Kinds of failure of Reach, besides mapping.ErrNotMapped. Test with errors.Is.
var (
	// ErrUnavailable: the map or the back end can't be asked now, or is asked by
	// too many.
	ErrUnavailable = errors.New("back end is not available")
	// ErrLoop: the back end is this front end, or too many proxies were passed.
	ErrLoop = errors.New("proxies lead in a circle")
)

// Front is what the proxies of a front end share. Set its fields before its
// first use and leave them alone then. Mapper is required.
type Front struct {
	Mapper   mapping.Mapper
	Backends func(mapping.Route) Backend      // how a back end is reached; nil: the zero Backend, for all
	Health   *Health                          // which back ends answer; nil: each connection is tried
	Sessions *Sessions                        // who is connected; nil: nobody keeps a list, and nobody can be kicked
	Own      func(host string, port int) bool // whether an address is this front end's own listener, as OwnListeners tells; asked of a route's host and of each address it has; nil: none is
	Logger   *slog.Logger                     // nil: slog.Default

	// Referrals says whether a back end that serves a user no more may send him
	// on to another, which is shown his credentials then; nil: none may.
	Referrals func(from, to mapping.Route) bool

	turn  atomic.Uint32 // of the source addresses
	slots slots
}

// maxTurns is how often the way to a back end may begin anew.
const maxTurns = 8

// Reach finds the back end of a user, named as he logs in or as mail is
// addressed to him, waits for his turn (Sessions.Delay, and the end of his
// sessions elsewhere), and connects: with a PROXY header where the Backend says
// so, and with TLS where that is implicit. What follows, the greeting to begin
// with, is the protocol's. mapping.ErrNotMapped, ErrUnavailable, ErrLoop. Close
// the Link.
//
// It takes Sessions.MaxWait, Backend.Queue and Backend.Connect at most, besides
// the time of the Mapper.
func (f *Front) Reach(ctx context.Context, user string, c Client) (*Link, error) {
	return f.reach(ctx, f.Sessions.visit(user, c))
}

// reach is Reach for a visit that begins.
func (f *Front) reach(ctx context.Context, v *visit) (*Link, error) {
	for range maxTurns {
		l, err := f.try(ctx, v)
		if !errors.Is(err, errAgain) {
			return l, err
		}
	}
	return nil, fmt.Errorf("%w: the map does not settle", ErrUnavailable)
}

// try is one turn of Reach; errAgain when there must be another.
func (f *Front) try(ctx context.Context, v *visit) (*Link, error) {
	if err := f.Sessions.welcome(ctx, v); err != nil {
		return nil, err
	}
	route, err := f.route(ctx, v)
	if err != nil {
		return nil, err
	}
	b := f.backend(route)
	route.TLS = b.TLS
	if err := f.checkLoop(route, v.client); err != nil {
		return nil, err
	}
	seat, err := f.Sessions.admit(ctx, v, route)
	if err != nil {
		return nil, err
	}
	return f.take(ctx, &Link{
		user: v.user, route: route, address: addressOf(route, v.client.Protocol), backend: b, client: v.client, seat: seat,
	})
}

// route returns where a visit leads.
func (f *Front) route(ctx context.Context, v *visit) (mapping.Route, error) {
	if v.referred != nil {
		return *v.referred, nil
	}
	route, err := f.Mapper.Map(ctx, v.user)
	if err == nil {
		err = route.Check() // an empty host would be this machine
	}
	if err != nil && !errors.Is(err, mapping.ErrNotMapped) {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return route, err
}

// take connects a link that has a seat; errAgain when it was kicked meanwhile.
func (f *Front) take(ctx context.Context, l *Link) (*Link, error) {
	ctx, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	l.seat.cutBy(cut)
	err := f.connect(ctx, cut, l)
	l.seat.cutBy(nil)
	switch {
	case !l.seat.wasKicked() && err == nil:
		return l, nil
	case err == nil:
		l.Close()
	default:
		l.seat.abandon()
	}
	if l.seat.wasKicked() {
		return nil, errAgain
	}
	return nil, err
}

func (f *Front) backend(route mapping.Route) Backend {
	var b Backend
	if f.Backends != nil {
		b = f.Backends(route)
	}
	return b.withDefaults(route)
}

// checkLoop refuses to go where the client's connection has come from.
func (f *Front) checkLoop(route mapping.Route, c Client) error {
	if c.hops() <= 1 {
		return fmt.Errorf("%w: no hops are left", ErrLoop)
	}
	if f.Own != nil && f.Own(route.Host, c.Protocol.port(route)) {
		return fmt.Errorf("%w: %s is this front end's own", ErrLoop, route)
	}
	return nil
}
