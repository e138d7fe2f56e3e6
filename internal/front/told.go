package front

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"

	"github.com/posthouse-mail/posthouse/internal/wire"
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

// Told is what a front end that is trusted tells of the client behind it, by
// XCLIENT or by IMAP's ID. A session holds one only where its connection comes
// from such a front end.
type Told struct {
	Front         netip.AddrPort // of the front end itself
	Remote, Local netip.AddrPort // of the client's connection; zero: not told, or not known
	Session       string         // what the front end calls the session; empty: not told
	Hops          int            // how many more proxies may come; 0: not told

	said, sealed bool
}

// NewTold returns what is told at the beginning, which is nothing; nil when the
// connection is not of one of the front ends.
func NewTold(c *wire.Conn, fronts func(netip.Addr) bool) *Told {
	if fronts == nil {
		return nil
	}
	peer := c.RemoteAddrPort()
	if !peer.IsValid() || !fronts(peer.Addr()) {
		return nil
	}
	return &Told{Front: peer}
}

// Listens reports whether the front end may still tell something. Nil tells
// nothing.
func (t *Told) Listens() bool { return t != nil && !t.sealed }

// Said reports whether anything was told.
func (t *Told) Said() bool { return t != nil && t.said }

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
