package pop3

import "context"

// dele marks a message as deleted (RFC 1939 §5).
func (sn *session) dele(args string) error {
	n, e, err := sn.drop.entry(args)
	if err != nil {
		return err
	}
	e.state |= deleted
	sn.ok("Message %d is deleted", n)
	return nil
}

// rset takes all DELEs back (RFC 1939 §5).
func (sn *session) rset(args string) error {
	if args != "" {
		return wrong("RSET takes no argument")
	}
	for i := range sn.drop.messages {
		sn.drop.messages[i].state &^= deleted
	}
	count, size := sn.drop.totals()
	sn.ok("Maildrop has %d messages (%d octets)", count, size)
	return nil
}

// update is QUIT after a login: the UPDATE state (RFC 1939 §6). The work is
// finished even if the server is told to stop meanwhile.
func (sn *session) update(args string) error {
	if args != "" {
		return wrong("QUIT takes no argument")
	}
	sn.quit = true
	ctx := context.WithoutCancel(sn.ctx)
	sn.drop.markSeen(ctx)
	if err := sn.drop.expunge(ctx); err != nil {
		sn.log.Error("deleted messages could not be removed", "err", err)
		return refuse("[SYS/TEMP] Some deleted messages were not removed")
	}
	sn.ok("Goodbye")
	return nil
}
