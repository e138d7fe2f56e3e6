package pop3

import "context"

// noop is NOOP (RFC 1939 §5): it does nothing.
func (n *session) noop(_ context.Context, args string) error {
	if err := none(args); err != nil {
		return err
	}
	n.ok("")
	return nil
}
