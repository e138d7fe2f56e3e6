package gssapi

import (
	"encoding/binary"
	"strings"
	"time"

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
