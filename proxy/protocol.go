package proxy

import (
	"crypto/tls"
	"net/netip"

	"github.com/posthouse-mail/posthouse/mapping"
)

// Protocol is a protocol that is spoken to back ends.
type Protocol int

// The protocols.
const (
	IMAP Protocol = iota
	POP3
	SMTP
	Submission
	LMTP
	ManageSieve
)

var protocols = [...]struct {
	name          string
	port, tlsPort int
}{{"imap", 143, 993}, {"pop3", 110, 995}, {"smtp", 25, 465}, {"submission", 587, 465}, {"lmtp", 24, 24}, {"managesieve", 4190, 4190}}

// String returns the protocol's name, as auth.Credentials.Service has it.
func (p Protocol) String() string { return protocols[p].name }

// port is where a route leads in this protocol.
func (p Protocol) port(r mapping.Route) int {
	switch {
	case r.Port != 0:
		return r.Port
	case r.TLS == mapping.TLSImplicit:
		return protocols[p].tlsPort
	}
	return protocols[p].port
}

// MaxHops is how many proxies may stand in a row before it must be a circle.
const MaxHops = 7

// Client is what a back end may be told of a client.
type Client struct {
	Protocol      Protocol
	Remote, Local netip.AddrPort       // of his connection, as a PROXY header or a trusted front end told it
	TLS           *tls.ConnectionState // of his connection; nil: none
	Session       string               // the id of his session, in the logs of both tiers
	Hops          int                  // how many more proxies may come, this one included; 0: nobody has said, MaxHops, which it never exceeds
}

func (c *Client) hops() int {
	if c.Hops == 0 {
		return MaxHops
	}
	return min(c.Hops, MaxHops)
}
