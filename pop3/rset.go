package pop3

import "context"

// rset is RSET (RFC 1939 §5): it takes all DELEs back.
func (n *session) rset(_ context.Context, args string) error {
	if err := none(args); err != nil {
		return err
	}
	for i := range n.drop.messages {
		n.drop.messages[i].state &^= deleted
	}
	n.okf("Maildrop has %s", n.drop.total())
	return nil
}
