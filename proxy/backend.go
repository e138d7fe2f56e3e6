package proxy

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"net/netip"
	"time"

	"github.com/posthouse-mail/posthouse/mapping"
)

// Backend says how a back end is reached. A zero field means what its comment
// says.
type Backend struct {
	TLS       mapping.TLSMode     // where the route leaves it open; TLSDefault: TLSStart
	TLSConfig *tls.Config         // roots, client certificate, name to verify, cache of TLS sessions; nil: the system's roots, and the route's host; TLS 1.2 at least in any case
	Pins      [][sha256.Size]byte // hashes of public keys (SubjectPublicKeyInfo); where there are any, one of them must be that of the back end's own certificate, and no chain, name or date is verified
	Sources   []netip.Addr        // source addresses, used in turn; only addresses of their families are connected to; empty: the system chooses

	Tell Tell // what the back end is told of the client; zero: nothing

	// MasterUser and MasterPassword log in in the user's name (his name is the
	// authorization identity); empty: what the client sent is sent again.
	MasterUser     string
	MasterPassword string `json:"-"`

	Connections int           // at the same time, to one host; 0: no limit
	Queue       time.Duration // how long a login waits for one of them; 0: 2 seconds
	Connect     time.Duration // for connecting, TLS and the login together, until Link.LoggedIn; 0: 10 seconds
	ReadWrite   time.Duration // a transfer may stand still, and nothing may be heard of a host that has vanished; 0: 400 seconds
	Idle        time.Duration // nothing may happen at all, in IDLE for instance; 0: 31 minutes
}

// Tell is a set of ways to tell a back end of a client. It must be
// configured to trust this front end, or it ignores or refuses them.
type Tell uint

// The ways. Each is used only where the protocol has it and, PROXY apart,
// where the back end announces it.
const (
	TellPROXY   Tell = 1 << iota // a PROXY protocol header of version 2, before anything else
	TellID                       // IMAP's ID with x-originating-ip and its kin
	TellXCLIENT                  // XCLIENT, of SMTP, LMTP, POP3 and ManageSieve
)

func (b Backend) withDefaults(route mapping.Route) Backend {
	if b.TLS = cmp.Or(route.TLS, b.TLS); b.TLS == mapping.TLSDefault {
		b.TLS = mapping.TLSStart
	}
	b.Queue = cmp.Or(b.Queue, 2*time.Second)
	b.Connect = cmp.Or(b.Connect, 10*time.Second)
	b.ReadWrite = cmp.Or(b.ReadWrite, 400*time.Second)
	b.Idle = cmp.Or(b.Idle, 31*time.Minute)
	return b
}
