package pop3

import (
	"context"
	"strings"

	"github.com/posthouse-mail/posthouse/auth"
)

// capa is CAPA (RFC 2449 §5): what is possible at this moment.
func (n *session) capa(_ context.Context, args string) error {
	if err := none(args); err != nil {
		return err
	}
	lines := []string{"TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "EXPIRE NEVER"}
	if n.drop == nil {
		if n.allowsLogin() {
			lines = append(lines, "USER", "SASL "+strings.Join(auth.Mechanisms(n.server.Auth), " "))
		}
		if n.server.TLS != nil && !n.secure() {
			lines = append(lines, "STLS")
		}
	}
	n.ok("Capability list follows")
	n.lines(append(lines, "IMPLEMENTATION Posthouse"))
	return nil
}
