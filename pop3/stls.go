package pop3

import (
	"context"
	"log/slog"
)

// stls is STLS (RFC 2595 §4). What the client said before is forgotten.
func (n *session) stls(ctx context.Context, args string) error {
	switch {
	case none(args) != nil:
		return none(args)
	case n.secure():
		return misunderstood("TLS is already active")
	case n.gate.tls == nil:
		return misunderstood("TLS is not available")
	case n.conn.Buffered() > 0:
		return farewell("Input before the TLS handshake")
	}
	n.user = ""
	n.ok("Begin TLS negotiation")
	if err := n.conn.StartTLS(ctx, n.gate.tls); err != nil {
		n.log(ctx, slog.LevelDebug, "TLS handshake failed", "err", err)
		n.over = true // nothing can be said any more
		n.conn.Close()
	}
	n.forgetTold()
	return nil
}
