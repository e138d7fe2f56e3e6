package smtp

import (
	"crypto/tls"
	"net/netip"
)

// Session holds the facts about one client's connection, for hooks and
// handlers. They must not change it, nor keep it after the session has ended.
type Session struct {
	ID       string // names the session in the log; what a front end calls it, where that has told
	Protocol Protocol
	Remote   netip.AddrPort // of the client; behind a front end (Server.Fronts) or a proxy (listener.Config.ProxyFrom) zero where that has not told it: its own address is nobody's who may do something
	Local    netip.AddrPort // of the server, as the client reached it
	Front    netip.AddrPort // of the front end or proxy whose connection it is; zero: the client's own
	Hops     int            // how many more proxies may come, as it has told; 0: it has not

	Helo  string               // what the client calls itself, printable ASCII or UTF-8; empty before EHLO
	ESMTP bool                 // it said EHLO or LHLO, not HELO
	TLS   *tls.ConnectionState // nil while the connection is not encrypted
	User  string               // the account that was authenticated; empty: none

	Messages     int   // messages that were accepted so far
	Octets       int64 // of their content
	Errors       int   // refused commands, content and logins so far
	AuthFailures int   // failed logins so far
}

// Secure reports whether the connection is encrypted.
func (s *Session) Secure() bool { return s.TLS != nil }
