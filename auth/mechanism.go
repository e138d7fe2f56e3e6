package auth

import (
	"iter"
	"strings"
)

// Mechanism is one SASL mechanism's dialogue. When it has all that it needs it
// calls CheckPassword or CheckProof, once, and returns their error; it says
// done only after one of them has succeeded. A response is nil when the client
// sent none, which is not the same as an empty one.
type Mechanism interface {
	Next(e *Exchange, response []byte) (challenge []byte, done bool, err error)
}

// MechanismKind says what a mechanism is and when it can be offered.
type MechanismKind struct {
	Name  string // as in the registry of IANA
	Needs Kinds  // the Authenticator must be able to check one of these
	Flags MechanismFlags
	Begin func() Mechanism
}

// MechanismFlags say more of a mechanism.
type MechanismFlags uint

// The flags.
const (
	Reveals     MechanismFlags = 1 << iota // what is sent lets a listener log in: for secure connections, and where Credentials.Clear says so
	Binds                                  // needs a channel binding: Credentials.TLS
	Weak                                   // offered only where a Policy names it
	Certified                              // needs a client certificate: Credentials.TLS
	ServerFirst                            // the server begins: an initial response is refused
)

// Mechanist is an optional power of an Authenticator: it brings mechanisms
// that are not of this package, as GSSAPI is.
type Mechanist interface {
	Mechanisms() []MechanismKind // strongest first
}

// Policy names the mechanisms that are offered. A nil list means every
// mechanism that is not Weak; an empty one means none. Those that the
// Authenticator can't serve are never offered, nor are those that would show
// a password to the network (see Reveals).
type Policy struct {
	Secure []string // on connections with TLS
	Plain  []string // on others

	SCRAM SCRAMOptions
	Realm string // how CRAM-MD5 and DIGEST-MD5 name this system; empty means "localhost"
}

// Mechanisms returns the names of the SASL mechanisms that NewExchange offers
// on a connection, strongest first; none without an Authenticator. Of the
// credentials it looks at Secure, Clear and TLS.
func Mechanisms(a Authenticator, p Policy, c Credentials) []string {
	var names []string
	for m := range kindsFor(a) {
		if p.allows(&m, c) && m.fits(c) {
			names = append(names, m.Name)
		}
	}
	return names
}

// mechanisms are those of this package, strongest first. Nobody changes them.
var mechanisms = []MechanismKind{
	{"EXTERNAL", Certificates, Certified, func() Mechanism { return external{} }},
	{"SCRAM-SHA-256-PLUS", SCRAMSHA256Secrets | ClearSecrets, Binds, newSCRAM(scramSHA256(), true)},
	{"SCRAM-SHA-1-PLUS", SCRAMSHA1Secrets | ClearSecrets, Binds, newSCRAM(scramSHA1(), true)},
	{"SCRAM-SHA-256", SCRAMSHA256Secrets | ClearSecrets, 0, newSCRAM(scramSHA256(), false)},
	{"SCRAM-SHA-1", SCRAMSHA1Secrets | ClearSecrets, 0, newSCRAM(scramSHA1(), false)},
	{"OAUTHBEARER", Tokens, Reveals, func() Mechanism { return &bearer{form: oauthBearer{}} }},
	{"XOAUTH2", Tokens, Reveals, func() Mechanism { return &bearer{form: xoauth2{}} }},
	{"DIGEST-MD5", ClearSecrets, Weak | ServerFirst, newDigestMD5},
	{"CRAM-MD5", ClearSecrets, Weak | ServerFirst, newCRAMMD5},
	{"PLAIN", Passwords, Reveals, func() Mechanism { return plain{} }},
	{"LOGIN", Passwords, Reveals, func() Mechanism { return &login{} }},
}

// kindsFor yields the mechanisms that an Authenticator can serve, strongest
// first.
func kindsFor(a Authenticator) iter.Seq[MechanismKind] {
	return func(yield func(MechanismKind) bool) {
		can := ProofsOf(a)
		if can == 0 {
			return
		}
		all := mechanisms
		if more, ok := As[Mechanist](a); ok {
			all = append(more.Mechanisms(), all...)
		}
		for _, m := range all {
			if m.Needs&can != 0 && !yield(m) {
				return
			}
		}
	}
}

// find returns the mechanism of a name, if it may be used on a connection.
func (p Policy) find(name string, a Authenticator, c Credentials) (*MechanismKind, error) {
	for m := range kindsFor(a) {
		if !strings.EqualFold(m.Name, name) {
			continue
		}
		if p.allows(&m, c) && m.fits(c) {
			return &m, nil
		}
		if safe := (Credentials{Secure: true}); !c.Secure && p.allows(&m, safe) {
			return nil, ErrNeedsTLS
		}
	}
	if !c.Secure && len(Mechanisms(a, p, c)) == 0 && len(Mechanisms(a, p, Credentials{Secure: true})) > 0 {
		return nil, ErrNeedsTLS // whichever it is
	}
	return nil, ErrMechanism
}

// allows reports whether a policy lets a mechanism be offered on a connection.
func (p Policy) allows(m *MechanismKind, c Credentials) bool {
	names := p.Plain
	if c.Secure {
		names = p.Secure
	}
	if names == nil {
		return m.Flags&Weak == 0
	}
	for _, name := range names {
		if strings.EqualFold(name, m.Name) {
			return true
		}
	}
	return false
}

// realm is how this system is named to clients.
func (p Policy) realm() string {
	if p.Realm == "" {
		return "localhost"
	}
	return p.Realm
}

// fits reports whether a connection is what a mechanism needs.
func (m *MechanismKind) fits(c Credentials) bool {
	return (m.Flags&Reveals == 0 || c.Secure || c.Clear) && (m.Flags&Binds == 0 || canBind(c.TLS)) &&
		(m.Flags&Certified == 0 || hasCertificate(c.TLS))
}
