package mapping

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// ErrBadRoute is what every error about a malformed route is.
var ErrBadRoute = errors.New("bad route")

// maxHost and maxRouteUser bound the parts of a route, in octets.
const (
	maxHost      = 253 // RFC 1035 §2.3.4, without the root's dot
	maxRouteUser = 512
)

// ParseRoute reads a route as it stands in a file map:
//
//	host[:port][,user=name][,tls=none|start|implicit]
//
// host is a name in ASCII or an address; an IPv6 address stands in brackets.
// Without a port the route has Port 0, without tls it has TLSDefault. No
// spaces are allowed, and no option twice. Errors are of kind ErrBadRoute.
func ParseRoute(s string) (Route, error) {
	where, options, more := strings.Cut(s, ",")
	r, err := parseHostPort(where)
	for more && err == nil {
		var option string
		option, options, more = strings.Cut(options, ",")
		err = r.setOption(option)
	}
	if err == nil {
		err = r.Check()
	}
	if err != nil {
		return Route{}, err
	}
	return r, nil
}

func parseHostPort(s string) (Route, error) {
	var r Route
	rest := ""
	if inner, ok := strings.CutPrefix(s, "["); ok {
		var closed bool
		if r.Host, rest, closed = strings.Cut(inner, "]"); !closed || !strings.Contains(r.Host, ":") {
			return r, badRoute("%q: brackets hold an IPv6 address", s)
		}
	} else {
		colon := strings.IndexByte(s, ':')
		if colon != strings.LastIndexByte(s, ':') {
			return r, badRoute("%q: an IPv6 address stands in brackets", s)
		}
		if colon < 0 {
			colon = len(s)
		}
		r.Host, rest = s[:colon], s[colon:]
	}
	if rest == "" {
		return r, nil
	}
	digits, ok := strings.CutPrefix(rest, ":")
	port, err := strconv.ParseUint(digits, 10, 16)
	if !ok || err != nil || port == 0 || digits[0] == '0' {
		return r, badRoute("%q: a port is a number from 1 to 65535", s)
	}
	r.Port = int(port)
	return r, nil
}

func (r *Route) setOption(s string) error {
	name, value, _ := strings.Cut(s, "=")
	switch {
	case name == "user" && r.User == "" && value != "":
		r.User = value
		return nil
	case name == "tls" && r.TLS == TLSDefault:
		for mode := TLSNone; mode <= TLSImplicit; mode++ {
			if value == mode.String() {
				r.TLS = mode
				return nil
			}
		}
	}
	return badRoute("option %q is unknown, malformed or given twice", s)
}

// Check returns an error of kind ErrBadRoute when a route leads nowhere: its
// host is empty or no host name or address, its port is above 65535, or its
// user holds what no line of a protocol can carry. Mappers call it on what
// others wrote.
func (r Route) Check() error {
	switch {
	case r.Port < 0 || r.Port > 65535:
		return badRoute("port %d", r.Port)
	case r.TLS < TLSDefault || r.TLS > TLSImplicit:
		return badRoute("TLS mode %d", int(r.TLS))
	case len(r.User) > maxRouteUser || !cleanName(r.User):
		return badRoute("user %.40q", r.User)
	}
	return checkHost(r.Host)
}

// checkHost accepts an address, or a name whose last label is not a number:
// 10.0.0.300 is a mistyped address, not a name.
func checkHost(host string) error {
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	name := strings.TrimSuffix(host, ".")
	if name == "" || len(name) > maxHost {
		return badRoute("host %.40q is empty or too long", host)
	}
	last := ""
	for label := range strings.SplitSeq(name, ".") {
		if !isLabel(label) {
			return badRoute("%q is no host", host)
		}
		last = label
	}
	if strings.Trim(last, "0123456789") == "" {
		return badRoute("%q is no address", host)
	}
	return nil
}

// isLabel allows the underscore, which names inside a site do have.
func isLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c|0x20 < 'a' || c|0x20 > 'z' {
			if (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

// String writes a route as ParseRoute reads it.
func (r Route) String() string {
	s := r.Host
	switch {
	case r.Port != 0:
		s = net.JoinHostPort(r.Host, strconv.Itoa(r.Port))
	case strings.Contains(s, ":"):
		s = "[" + s + "]"
	}
	if r.User != "" {
		s += ",user=" + r.User
	}
	if r.TLS != TLSDefault {
		s += ",tls=" + r.TLS.String()
	}
	return s
}

// String returns the mode as a file map writes it; "default" for TLSDefault.
func (m TLSMode) String() string {
	switch m {
	case TLSDefault:
		return "default"
	case TLSNone:
		return "none"
	case TLSStart:
		return "start"
	case TLSImplicit:
		return "implicit"
	}
	return "TLSMode(" + strconv.Itoa(int(m)) + ")"
}

func badRoute(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBadRoute, fmt.Sprintf(format, args...))
}
