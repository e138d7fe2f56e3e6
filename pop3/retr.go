package pop3

import (
	"context"
	"log/slog"

	"github.com/posthouse-mail/posthouse/message"
)

// retr is RETR (RFC 1939 §5): a whole message.
func (n *session) retr(ctx context.Context, args string) error {
	_, e, err := n.drop.entry(args)
	if err != nil {
		return err
	}
	body, err := n.drop.open(ctx, e)
	if err != nil {
		return err
	}
	defer body.Close()
	n.okf("%d octets", body.Size())
	if n.send(ctx, e, body, body.Size()) {
		n.drop.retrieve(e)
	}
	return nil
}

// send sends the content of a message up to an offset. When it fails the
// connection is closed: what was sent must not look whole.
func (n *session) send(ctx context.Context, e *entry, body message.Body, end int64) bool {
	err := stuff(n.conn, body, end)
	if err == nil {
		return true
	}
	if !lost(err) {
		n.log(ctx, slog.LevelError, "message can't be read", "uid", uint32(e.uid), "err", err)
	}
	n.over = true
	n.conn.Close()
	return false
}
