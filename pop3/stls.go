package pop3

import (
	"errors"

	"github.com/posthouse-mail/posthouse/internal/wire"
)

// stls begins TLS (RFC 2595 §4). What the session learned before is forgotten.
func (sn *session) stls(args string) error {
	switch {
	case args != "":
		return wrong("STLS takes no argument")
	case sn.conn.TLS() != nil:
		return wrong("TLS is already active")
	case sn.server.TLS == nil:
		return wrong("TLS is not available")
	case sn.conn.Buffered() > 0:
		return &failure{text: "Input before the TLS handshake", closes: true}
	}
	sn.ok("Begin TLS negotiation")
	sn.user = ""
	if err := sn.conn.StartTLS(sn.ctx, sn.server.TLS); err != nil {
		if !errors.Is(err, wire.ErrEarlyInput) {
			sn.log.Debug("TLS handshake failed", "err", err)
		}
		sn.quit = true // nothing can be said any more
	}
	return nil
}
