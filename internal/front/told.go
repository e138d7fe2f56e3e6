package front

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"

	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/listener"
)

// Errors of what a front end tells.
var (
	ErrMalformed = errors.New("malformed identity of a client")
	ErrLoop      = errors.New("too many proxies: they lead in a circle")
	ErrLoginTold = fmt.Errorf("%w: nobody is logged in by another's word", ErrMalformed)
)

// Bounds of what a front end may tell.
const (
	maxSessionID  = 64
	maxAttributes = 20
	maxHops       = 255
)

// Told is what is told of a client by whose connection it is: by a front end
// that is trusted, with XCLIENT or IMAP's ID, or by a proxy that a listener
// trusts, with a PROXY header. A session holds one only where its connection is
// such a one's.
type Told struct {
	Front         netip.AddrPort // of the front end, or the proxy, itself
	Remote, Local netip.AddrPort // of the client's connection; zero: not told, or not known
	Session       string         // what the front end calls the session; empty: not told
	Hops          int            // how many more proxies may come; 0: not told

	said, sealed, deaf bool
}

// NewTold returns what is told at the beginning: by a front end nothing, by a
// proxy all that it will tell. nil when the connection is the client's own.
func NewTold(c *wire.Conn, fronts func(netip.Addr) bool) *Told {
	peer, through := c.RemoteAddrPort(), listener.ProxiedOf(c.NetConn())
	switch {
	case (through == nil || through.Told) && peer.IsValid() && fronts != nil && fronts(peer.Addr()):
		return &Told{Front: peer}
	case through == nil:
		return nil
	}
	t := &Told{Front: through.Through, Hops: through.Hops, said: true, deaf: true}
	if through.Told {
		t.Remote, t.Local = peer, c.LocalAddrPort()
	}
	if validSession(through.UniqueID) {
		t.Session = through.UniqueID
	}
	return t
}

// Trusted reports whether the connection is a front end's, whose word is taken.
// Behind a proxy whoever speaks is a stranger.
func (t *Told) Trusted() bool { return t != nil && !t.deaf }

// Relayed reports whether the client may have logged in at a front end, which
// only moves octets since: another login on the connection would pass by what
// that checks. It is so where the connection is a front end's, and where a
// PROXY header has told how many more proxies may come, as front ends do.
func (t *Told) Relayed() bool { return t.Trusted() || t.HopsLeft() > 0 }

// Listens reports whether the front end may still tell something. Nil tells
// nothing.
func (t *Told) Listens() bool { return t.Trusted() && !t.sealed }

// Said reports whether a front end has told something.
func (t *Told) Said() bool { return t.Trusted() && t.said }

// ID returns what a session is called: as its front end does, or else a new
// name.
func (t *Told) ID() string {
	if t != nil && t.Session != "" {
		return t.Session
	}
	return NewID()
}

// Seal ends the telling: from now on the front end may be passing on what its
// client says, and that client must not be believed.
func (t *Told) Seal() {
	if t != nil {
		t.sealed = true
	}
}

// Forget forgets what was told, as at the beginning of TLS: who knows who has
// said it. What stands sealed stays.
func (t *Told) Forget() {
	if t.Listens() {
		*t = Told{Front: t.Front}
	}
}

// Addr returns the client's address where that is known, or else the peer's.
func (t *Told) Addr(peer netip.Addr) netip.Addr {
	if t != nil && t.Remote.IsValid() {
		return t.Remote.Addr()
	}
	return peer
}

// Ends returns the ends of the client's connection: remote zero where it is not
// known, and local where it was not told the address that is listened on.
func (t *Told) Ends(c *wire.Conn) (remote, local netip.AddrPort) {
	remote, local = c.RemoteAddrPort(), c.LocalAddrPort()
	if t == nil {
		return remote, local
	}
	if t.Local.IsValid() {
		local = t.Local
	}
	return t.Remote, local
}

// HopsLeft returns how many more proxies may come; 0: nobody has said.
func (t *Told) HopsLeft() int {
	if t == nil {
		return 0
	}
	return t.Hops
}

// Allowed returns the address at the other end of the connection for what may
// be allowed there, as passwords without TLS: the peer's, but nobody's where
// that is a proxy which does not tell whose connection it passes on.
func (t *Told) Allowed(peer netip.Addr) netip.Addr {
	if t != nil && t.deaf && !t.Remote.IsValid() {
		return netip.Addr{}
	}
	return peer
}

// Set takes an attribute by its name in XCLIENT. Attributes of no meaning here
// are taken and ignored. ErrMalformed, ErrLoop: t
// is of no use then.
func (t *Told) Set(name, value string) error {
	ok := true
	t.said = true
	switch name {
	case "ADDR":
		ok = t.setAddr(&t.Remote, value)
	case "PORT":
		ok = setPort(&t.Remote, value)
	case "DESTADDR":
		ok = t.setAddr(&t.Local, value)
	case "DESTPORT":
		ok = setPort(&t.Local, value)
	case "SESSION":
		if ok = validSession(value); ok {
			t.Session = value
		}
	case "TTL":
		return t.setHops(value)
	case "LOGIN":
		return ErrLoginTold
	}
	if !ok {
		return fmt.Errorf("%w: %s", ErrMalformed, name)
	}
	return nil
}

// Unknown reports whether a front end says that it does not know.
func Unknown(value string) bool { return value == "[UNAVAILABLE]" || value == "[TEMPUNAVAIL]" }

// setAddr reads an address, which of IPv6 may have "IPV6:" before it. Another
// host's loopback is nobody's address here.
func (t *Told) setAddr(to *netip.AddrPort, value string) bool {
	if Unknown(value) {
		*to = netip.AddrPort{}
		return true
	}
	const prefix = "IPV6:"
	prefixed := len(value) > len(prefix) && strings.EqualFold(value[:len(prefix)], prefix)
	if prefixed {
		value = value[len(prefix):]
	}
	a, err := netip.ParseAddr(value)
	if err != nil || a.Zone() != "" || prefixed && !a.Is6() || a.IsUnspecified() {
		return false
	}
	a = a.Unmap()
	if a.IsLoopback() && !t.Front.Addr().IsLoopback() {
		a = netip.Addr{}
	}
	*to = netip.AddrPortFrom(a, to.Port())
	return true
}

func setPort(to *netip.AddrPort, value string) bool {
	if Unknown(value) {
		value = "0"
	}
	port, err := strconv.ParseUint(value, 10, 16)
	if err != nil {
		return false
	}
	*to = netip.AddrPortFrom(to.Addr(), uint16(port))
	return true
}

// setHops reads how many proxies may still come. At one the next would be too
// many, and where it must come from is a circle.
func (t *Told) setHops(value string) error {
	hops, err := strconv.ParseUint(value, 10, 16)
	switch {
	case err != nil || hops > maxHops:
		return fmt.Errorf("%w: TTL", ErrMalformed)
	case hops <= 1:
		return ErrLoop
	}
	t.Hops = int(hops)
	return nil
}

// validSession wants what can stand in a log line as one word.
func validSession(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != "" && len(s) <= maxSessionID
}

// Attr is the front end's address for a line of the log; for a session that
// comes from none, nothing.
func (t *Told) Attr() slog.Attr {
	if t == nil {
		return slog.Attr{}
	}
	return slog.String("front", t.Front.Addr().String())
}
