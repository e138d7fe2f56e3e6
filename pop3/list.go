package pop3

import (
	"context"
	"strconv"
	"strings"
)

// list is LIST (RFC 1939 §5): the sizes of messages.
func (n *session) list(ctx context.Context, args string) error {
	n.drop.findGone(ctx)
	return n.scan(args, func(line []byte, e *entry) []byte { return strconv.AppendInt(line, e.listed(), 10) })
}

// scan answers with a line for one message, or for each.
func (n *session) scan(args string, show func(line []byte, e *entry) []byte) error {
	if strings.TrimRight(args, " ") != "" {
		i, e, err := n.drop.entry(args)
		if err == nil {
			n.okf("%d %s", i, show(nil, e))
		}
		return err
	}
	n.ok(n.drop.total())
	var line []byte
	for i := range n.drop.messages {
		e := &n.drop.messages[i]
		if e.state&deleted != 0 {
			continue
		}
		line = append(strconv.AppendInt(line[:0], int64(i+1), 10), ' ')
		line = append(show(line, e), "\r\n"...)
		if _, err := n.conn.Write(line); err != nil {
			n.over = true
			return nil
		}
	}
	n.lines(nil)
	return nil
}
