package gssapi

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/jcmturner/gokrb5/v8/iana/adtype"
	"github.com/jcmturner/gokrb5/v8/iana/chksumtype"
	"github.com/jcmturner/gokrb5/v8/iana/flags"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/posthouse-mail/posthouse/auth"
)

// Flags of a context, in the checksum of an authenticator (RFC 4121 §4.1.1.1).
const (
	flagMutual   = 1 << 1
	flagDCEStyle = 1 << 12 // a third message, which SASL has no place for
)

// accept establishes a context from a client's first token (GSS_Accept_sec_context).
// The reply is for a client that wants the server to prove itself; nil for others.
func (a *Authenticator) accept(token []byte, c auth.Credentials) (ctx *secContext, reply []byte, err error) {
	err = guard(func() error {
		r, err := a.decrypt(token, c)
		if err != nil {
			return err
		}
		if err := a.verify(r, c); err != nil {
			return err
		}
		ctx, reply, err = a.establish(r)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return ctx, reply, nil
}

// request is an AP-REQ (RFC 4120 §5.5.1), decrypted.
type request struct {
	*messages.APReq
	shown time.Time // the client's time
	flags uint32    // of the context
}

func (r *request) mutual() bool { return r.flags&flagMutual != 0 }

// decrypt decrypts a client's request with a key of the service that he came to.
func (a *Authenticator) decrypt(token []byte, c auth.Credentials) (*request, error) {
	message, err := unframe(token)
	if err != nil {
		return nil, err
	}
	r := &request{APReq: new(messages.APReq)}
	if err := r.Unmarshal(message); err != nil {
		return nil, refused("not a request of Kerberos V5")
	}
	t := &r.Ticket
	switch name := t.SName.NameString; {
	case r.PVNO != version || t.TktVNO != version:
		return nil, refused("not of Kerberos V5")
	case r.APOptions.At(flags.APOptionUseSessionKey) == 1:
		return nil, refused("a ticket under the key of a session")
	case len(name) != 2 || !strings.EqualFold(name[0], serviceOf(c.Service)) || !hostFits(a.o.Hostname, name[1]):
		return nil, refused("a ticket for %.80q, not for %s", t.SName.PrincipalNameString(), serviceOf(c.Service))
	case keySize(t.EncPart.EType) == 0:
		return nil, refused("a ticket of encryption type %d", t.EncPart.EType)
	}
	if !a.table().decrypt(t) {
		return nil, refused("a ticket for %.80q of %.80q that no key of the keytab fits", t.SName.PrincipalNameString(), t.Realm)
	}
	if !goodKey(t.DecryptedEncPart.Key) {
		return nil, refused("a session key of encryption type %d", t.DecryptedEncPart.Key.KeyType)
	}
	if err := r.DecryptAuthenticator(t.DecryptedEncPart.Key); err != nil {
		return nil, refused("an authenticator that the session key does not fit")
	}
	by := &r.Authenticator
	r.shown = by.CTime.Add(time.Duration(by.Cusec) * time.Microsecond)
	return r, r.checksum()
}

// checksum reads what is a checksum by name only (RFC 4121 §4.1.1). The
// channel binding in it is not looked at: the server has none (RFC 4752 §3.2).
func (r *request) checksum() error {
	sum := r.Authenticator.Cksum
	if sum.CksumType != chksumtype.GSSAPI || len(sum.Checksum) < 24 || binary.LittleEndian.Uint32(sum.Checksum) != 16 {
		return refused("an authenticator without the flags of a context")
	}
	r.flags = binary.LittleEndian.Uint32(sum.Checksum[20:])
	if r.flags&flagDCEStyle != 0 {
		return refused("a context of three messages")
	}
	return nil
}

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

// establish makes the context of a request, and the reply.
func (a *Authenticator) establish(r *request) (*secContext, []byte, error) {
	t, by := &r.Ticket.DecryptedEncPart, &r.Authenticator
	name, err := principal(t.CName)
	if err != nil {
		return nil, nil, err
	}
	ctx := &secContext{client: auth.Ticket{Name: name, Realm: t.CRealm}, key: t.Key}
	if len(by.SubKey.KeyValue) > 0 || by.SubKey.KeyType != 0 {
		if !goodKey(by.SubKey) {
			return nil, nil, refused("a sub-key of encryption type %d", by.SubKey.KeyType)
		}
		ctx.key = by.SubKey
	}
	// Old clients write numbers above 2^31 as negative ones.
	ctx.receive = uint64(uint32(by.SeqNumber))
	ctx.send = ctx.receive
	if !r.mutual() {
		return ctx, nil, nil
	}
	reply, err := ctx.assert(r)
	return ctx, reply, err
}

// principal writes the name of a client. A part that holds what joins parts
// and realms would make it look like another.
func principal(n types.PrincipalName) (string, error) {
	name := n.PrincipalNameString()
	for _, part := range n.NameString {
		if part == "" || strings.ContainsAny(part, "/@\\\x00") {
			return "", refused("a client with the name %.80q", name)
		}
	}
	if name == "" {
		return "", refused("a client without a name")
	}
	return name, nil
}

// keySize returns how many octets a key of an encryption type has; 0 for the
// types that are no good: only those with AES are (RFC 8429, RFC 6649).
func keySize(encryption int32) int {
	switch encryption {
	case 17, 19: // aes128-cts-hmac-sha1-96 (RFC 3962), aes128-cts-hmac-sha256-128 (RFC 8009)
		return 16
	case 18, 20: // aes256-cts-hmac-sha1-96, aes256-cts-hmac-sha384-192
		return 32
	}
	return 0
}

func goodKey(k types.EncryptionKey) bool {
	size := keySize(k.KeyType)
	return size > 0 && len(k.KeyValue) == size
}

// newKey makes a key of the kind of another.
func newKey(like types.EncryptionKey) types.EncryptionKey {
	k := types.EncryptionKey{KeyType: like.KeyType, KeyValue: make([]byte, keySize(like.KeyType))}
	_, _ = rand.Read(k.KeyValue) // never fails
	return k
}
