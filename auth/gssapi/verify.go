package gssapi

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/jcmturner/gokrb5/v8/iana/adtype"
	"github.com/jcmturner/gokrb5/v8/iana/flags"
	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/posthouse-mail/posthouse/auth"
)

// verify checks that a ticket is good, and shown by its owner, now, and for
// the first time (RFC 4120 §3.2.3).
func (a *Authenticator) verify(r *request, c auth.Credentials) error {
	t, by, now := &r.Ticket.DecryptedEncPart, &r.Authenticator, a.now()
	begins := t.StartTime
	if begins.IsZero() {
		begins = t.AuthTime
	}
	switch {
	case by.AVNO != version || by.Cusec < 0 || by.Cusec > 999_999:
		return refused("an authenticator is malformed")
	case !by.CName.Equal(t.CName) || by.CRealm != t.CRealm:
		return refused("an authenticator of somebody else than the ticket")
	case !addressFits(t.CAddr, c.Remote):
		return refused("a ticket for other addresses than %v", c.Remote)
	case now.Sub(r.shown).Abs() > a.o.ClockSkew:
		return refused("the client's clock is off by %v", r.shown.Sub(now).Round(time.Second))
	case begins.Sub(now) > a.o.ClockSkew || t.Flags.At(flags.Invalid) == 1:
		return refused("a ticket that is not valid yet")
	case now.Sub(t.EndTime) > a.o.ClockSkew:
		return refused("a ticket that has expired")
	case hasUnknown(t.AuthorizationData) || hasUnknown(by.AuthorizationData):
		return refused("a ticket with restrictions that are not known here")
	}
	if err := a.checkRealm(r); err != nil {
		return err
	}
	return a.checkReplay(r, now)
}

// transitedChecked is the flag TRANSITED-POLICY-CHECKED (RFC 4120 §2.7).
const transitedChecked = 12

// checkRealm checks that clients of a ticket's realm are let in.
func (a *Authenticator) checkRealm(r *request) error {
	t := &r.Ticket.DecryptedEncPart
	own := t.CRealm == r.Ticket.Realm
	if len(a.o.Realms) > 0 && !slices.Contains(a.o.Realms, t.CRealm) || len(a.o.Realms) == 0 && !own {
		return refused("a client of the realm %.80q", t.CRealm)
	}
	if !own && t.Flags.At(transitedChecked) == 0 {
		return refused("a client of the realm %.80q, by a path that was not checked", t.CRealm)
	}
	return nil
}

// hasUnknown reports whether authorization data holds anything that may not
// be passed over (RFC 4120 §5.2.6).
func hasUnknown(data types.AuthorizationData) bool {
	return slices.ContainsFunc(data, func(e types.AuthorizationDataEntry) bool { return e.ADType != adtype.ADIfRelevant })
}

// addressFits reports whether a client is where his ticket is good.
func addressFits(good types.HostAddresses, remote netip.Addr) bool {
	if len(good) == 0 {
		return true
	}
	remote = remote.Unmap().WithZone("")
	return remote.IsValid() && types.HostAddressesContains(good, types.HostAddressFromNetIP(remote.AsSlice()))
}

// ahead is how far the clock of a client may be ahead who does not let the
// server prove itself; ClockSkew when that is less.
const ahead = 30 * time.Second

// checkReplay checks that an authenticator is shown for the first time. Where
// the server proves itself, with a key of its own making, nobody can go on with
// somebody else's request, so that it matters for others only: those must not
// have been shown before this process began, of which it knows nothing.
func (a *Authenticator) checkReplay(r *request, now time.Time) error {
	limit := min(ahead, a.o.ClockSkew)
	switch {
	case r.mutual():
	case a.o.Unproved == RefuseUnproved:
		return refused("a client that does not let the server prove itself")
	case r.shown.Sub(now) > limit:
		return refused("the client's clock is ahead by %v", r.shown.Sub(now).Round(time.Second))
	case r.shown.Sub(a.began) < limit:
		return unavailable("a login that may have been shown before the server began")
	}
	t := &r.Ticket
	words := append([]string{t.Realm, t.DecryptedEncPart.CRealm, r.shown.UTC().Format(time.RFC3339Nano), strings.Join(t.SName.NameString, "/")},
		t.DecryptedEncPart.CName.NameString...)
	switch a.replays.add(replayID(words...), now) {
	case again:
		return refused("a request that was shown before")
	case untold:
		if !r.mutual() {
			return unavailable("too many logins to remember")
		}
	}
	return nil
}
