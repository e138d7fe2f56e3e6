package pop3

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"

	"github.com/posthouse-mail/posthouse/internal/front"
)

// maxXclient bounds the arguments of XCLIENT, in octets.
const maxXclient = 1024

// remote returns the client's address; that of the front end while it has not
// told another.
func (n *session) remote() netip.Addr { return n.told.Addr(n.conn.Remote()) }

// xclient is XCLIENT as Dovecot's front ends say it before they log in, with
// values as they are: ADDR=… PORT=… SESSION=… TTL=…. Attributes that are not
// known are ignored, since front ends say all that they have. Who is no front
// end finds no such command.
func (n *session) xclient(ctx context.Context, args string) error {
	if !n.told.Trusted() {
		if !n.distrust {
			n.distrust = true
			n.log(ctx, slog.LevelWarn, "identity of a client is ignored: nobody who is trusted tells it", "command", "XCLIENT")
		}
		return errUnknown
	}
	if len(args) > maxXclient {
		return misunderstood("Line too long")
	}
	told := *n.told
	err := front.EachAttribute(args, told.Set)
	switch {
	case errors.Is(err, front.ErrLoop):
		n.log(ctx, slog.LevelError, "proxies lead in a circle")
		return farewell("[SYS/TEMP] Too many proxies: they lead in a circle")
	case err != nil:
		n.log(ctx, slog.LevelWarn, "identity of a client can't be read", "err", err)
		return misunderstood("Malformed XCLIENT")
	}
	*n.told, n.user = told, ""
	before := n.id
	if told.Session != "" {
		n.id = told.Session
	}
	n.log(ctx, slog.LevelDebug, "front end tells of a client", "was", before)
	n.ok("Updated")
	return nil
}

// forgetTold forgets, when TLS begins, what a front end has told in clear text:
// nobody knows who wrote it.
func (n *session) forgetTold() {
	if n.told.Said() {
		n.told.Forget()
		n.id = front.NewID()
	}
}
