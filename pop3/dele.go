package pop3

import "context"

// dele is DELE (RFC 1939 §5): it marks a message as deleted.
func (n *session) dele(_ context.Context, args string) error {
	i, e, err := n.drop.entry(args)
	if err != nil {
		return err
	}
	e.state |= deleted
	n.okf("Message %d is deleted", i)
	return nil
}
