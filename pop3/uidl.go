package pop3

import (
	"context"
	"strconv"
)

// uidl is UIDL (RFC 1939 §7): the unique ids of messages, which are
// UIDVALIDITY and UID of INBOX with a dot between.
func (n *session) uidl(_ context.Context, args string) error {
	return n.scan(args, func(line []byte, e *entry) []byte {
		line = strconv.AppendUint(line, uint64(n.drop.validity), 10)
		return strconv.AppendUint(append(line, '.'), uint64(e.uid), 10)
	})
}
