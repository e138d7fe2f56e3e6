package pop3

import (
	"strconv"
	"strings"
)

// retr sends a message (RFC 1939 §5).
func (sn *session) retr(args string) error {
	_, e, err := sn.drop.entry(args)
	if err != nil {
		return err
	}
	if err := sn.send(e, allLines); err != nil {
		return err
	}
	sn.drop.read(sn.ctx, e)
	return nil
}

// top sends a message's header and some lines of its body (RFC 1939 §7).
func (sn *session) top(args string) error {
	number, count, ok := strings.Cut(args, " ")
	lines, err := strconv.Atoi(count)
	if !ok || err != nil || lines < 0 {
		return wrong("TOP needs a message and a number of lines")
	}
	_, e, err := sn.drop.entry(number)
	if err != nil {
		return err
	}
	return sn.send(e, lines)
}

// send answers with a message's content. When the store fails in the middle
// of it, the connection is closed: what was sent must not look whole.
func (sn *session) send(e *entry, lines int) error {
	body, err := sn.drop.open(sn.ctx, e)
	if err != nil {
		return err
	}
	defer body.Close()
	sn.ok("%d octets", e.size)
	w := &stuffer{out: sn.conn, left: lines}
	if err := w.copy(body); err != nil {
		sn.log.Error("message can't be sent", "uid", e.uid, "err", err)
		sn.conn.Close()
		sn.quit = true
	}
	return nil
}
