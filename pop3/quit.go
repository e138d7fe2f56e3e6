package pop3

import (
	"context"
	"log/slog"
)

// quit is QUIT after login (RFC 1939 §6), the UPDATE state: messages that are
// marked are deleted now. The maildrop is given back before the answer, so
// that a client may come again as soon as it has that.
func (n *session) quit(ctx context.Context, args string) error {
	if err := none(args); err != nil {
		return err
	}
	n.over = true
	drop := n.drop
	drop.seen.wait()
	// What has begun is finished, even if the server is stopped meanwhile.
	err := drop.expunge(context.WithoutCancel(ctx))
	if err != nil {
		n.log(ctx, slog.LevelError, "deleted messages could not be removed", "err", err)
	}
	n.leave(ctx)
	if err != nil {
		return refuse("[SYS/TEMP] Deleted messages were not removed")
	}
	n.ok("Goodbye")
	return nil
}

// quitEarly is QUIT before login (RFC 1939 §4).
func (n *session) quitEarly(_ context.Context, args string) error {
	if err := none(args); err != nil {
		return err
	}
	n.over = true
	n.ok("Goodbye")
	return nil
}
