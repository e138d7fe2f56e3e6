package pop3

import (
	"context"
	"slices"
	"strings"

	"github.com/posthouse-mail/posthouse/auth"
)

// capa is CAPA (RFC 2449 §5): what is possible at this moment.
func (n *session) capa(_ context.Context, args string) error {
	if err := none(args); err != nil {
		return err
	}
	lines := slices.Clone(n.gate.caps)
	if n.drop == nil {
		if n.allowsLogin() && auth.ProofsOf(n.authenticator())&auth.Passwords != 0 {
			lines = append(lines, "USER")
		}
		if names := n.mechanisms(); len(names) > 0 {
			lines = append(lines, "SASL "+strings.Join(names, " "))
		}
		if n.gate.tls != nil && !n.secure() {
			lines = append(lines, "STLS")
		}
		if n.told.Listens() {
			lines = append(lines, "XCLIENT")
		}
	}
	n.ok("Capability list follows")
	n.lines(append(lines, "IMPLEMENTATION Posthouse"))
	return nil
}
