package pop3

import (
	"strconv"
)

// stat answers with the number and size of the messages (RFC 1939 §5).
func (sn *session) stat(args string) error {
	if args != "" {
		return wrong("STAT takes no argument")
	}
	count, size := sn.drop.totals()
	sn.ok("%d %d", count, size)
	return nil
}

// list answers with the sizes of messages (RFC 1939 §5).
func (sn *session) list(args string) error {
	return sn.scan(args, func(e *entry) string { return strconv.FormatInt(e.listed(), 10) })
}

// uidl answers with the unique ids of messages (RFC 1939 §7).
func (sn *session) uidl(args string) error { return sn.scan(args, sn.drop.uniqueID) }

// scan answers with a line for one message, or for each.
func (sn *session) scan(args string, show func(e *entry) string) error {
	if args != "" {
		n, e, err := sn.drop.entry(args)
		if err == nil {
			sn.ok("%d %s", n, show(e))
		}
		return err
	}
	count, size := sn.drop.totals()
	sn.ok("%d messages (%d octets)", count, size)
	var line []byte
	for i := range sn.drop.messages {
		e := &sn.drop.messages[i]
		if e.state&deleted != 0 {
			continue
		}
		line = strconv.AppendInt(line[:0], int64(i+1), 10)
		line = append(append(append(line, ' '), show(e)...), "\r\n"...)
		if _, err := sn.conn.Write(line); err != nil {
			return err
		}
	}
	_, _ = sn.conn.WriteString(".\r\n")
	return nil
}
