package pop3

import "context"

// stat is STAT (RFC 1939 §5): the number and size of the messages.
func (n *session) stat(_ context.Context, args string) error {
	if err := none(args); err != nil {
		return err
	}
	count, size := n.drop.totals()
	n.okf("%d %d", count, size)
	return nil
}
