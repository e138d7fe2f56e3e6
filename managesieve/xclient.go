package managesieve

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"

	"github.com/posthouse-mail/posthouse/internal/front"
)

// maxXclient bounds the arguments of XCLIENT, in octets.
const maxXclient = 1024

// remote returns the client's address; that of the front end while it has not
// told another.
func (n *session) remote() netip.Addr { return n.told.Addr(n.conn.Remote()) }

// mayTell reports whether XCLIENT is a command here. Who is no front end finds
// no such command.
func (n *session) mayTell(ctx context.Context) bool {
	if !n.told.Trusted() && !n.distrust {
		n.distrust = true
		n.log(ctx, slog.LevelWarn, "identity of a client is ignored: nobody who is trusted tells it", "command", "XCLIENT")
	}
	return n.told.Trusted()
}

// xclient is XCLIENT as Dovecot's front ends say it before they log in, its
// arguments atoms with values as they are: ADDR=… PORT=… SESSION=… TTL=….
// Attributes that are not known are ignored, since front ends say all that they
// have.
func (n *session) xclient(ctx context.Context, tokens []token) error {
	attributes := make([]string, 0, len(tokens))
	size := 0
	for _, t := range tokens {
		size += len(t.text) + len(" ")
		if t.kind != atom || size > maxXclient {
			return misunderstood("Malformed XCLIENT")
		}
		attributes = append(attributes, t.text)
	}
	told := *n.told
	err := front.EachAttribute(strings.Join(attributes, " "), told.Set)
	switch {
	case errors.Is(err, front.ErrLoop):
		n.log(ctx, slog.LevelError, "proxies lead in a circle")
		return &failure{"TRYLATER", "Too many proxies: they lead in a circle", last}
	case err != nil:
		n.log(ctx, slog.LevelWarn, "identity of a client can't be read", "err", err)
		return misunderstood("Malformed XCLIENT")
	}
	*n.told = told
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
