package sender

import "strings"

// Route is the way to the next hop. The zero value is the MX hosts of the
// recipients' domain, over SMTP with TLS where it is offered.
type Route struct {
	Hosts    []Host   // tried in order; none: the MX hosts
	Protocol Protocol // default SMTP
	Auth     Auth     // how to log in there; the zero value: not at all
}

// Protocol is what the next hop speaks.
type Protocol int

// The protocols. LMTP is for a mail store next door: it answers per recipient.
const (
	SMTP Protocol = iota
	LMTP
)

// Host is a host of a route.
type Host struct {
	Name string  // a host name, an address, or the path of a Unix socket, which begins with "/"
	Port int     // 0: the Port of Options, 465 with TLSImplicit, 24 for LMTP
	TLS  TLSMode // how to secure the connection
}

// TLSMode says how a connection is secured.
type TLSMode int

// The modes.
const (
	// TLSOffered uses STARTTLS when it is offered and works, with any
	// certificate, and plain text otherwise (RFC 7435). In a Route with Auth
	// it means TLSStart.
	TLSOffered  TLSMode = iota
	TLSNone             // plain text
	TLSStart            // STARTTLS with a verified certificate, or nothing
	TLSImplicit         // TLS from the first octet with a verified certificate (RFC 8314)
)

// Auth are credentials for the next hop (RFC 4954, PLAIN or LOGIN).
type Auth struct{ User, Password string }

// String keeps the password out of logs.
func (a Auth) String() string { return a.User }

func (a Auth) isSet() bool { return a != Auth{} }

func (h Host) isSocket() bool { return strings.HasPrefix(h.Name, "/") }
