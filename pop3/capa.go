package pop3

import (
	"strings"

	"github.com/posthouse-mail/posthouse/auth"
)

// capa lists the capabilities of this moment (RFC 2449 §5).
func (sn *session) capa(args string) error {
	if args != "" {
		return wrong("CAPA takes no argument")
	}
	lines := []string{"TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "EXPIRE NEVER"}
	if sn.drop == nil {
		if sn.mayAuthenticate() {
			lines = append(lines, "USER", "SASL "+strings.Join(auth.Mechanisms(sn.server.Auth), " "))
		}
		if sn.server.TLS != nil && sn.conn.TLS() == nil {
			lines = append(lines, "STLS")
		}
	}
	lines = append(lines, "IMPLEMENTATION Posthouse")
	sn.ok("Capability list follows")
	_, _ = sn.conn.WriteString(strings.Join(lines, "\r\n") + "\r\n.\r\n")
	return nil
}

// noop does nothing (RFC 1939 §5).
func (sn *session) noop(string) error {
	sn.ok("")
	return nil
}
