package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// contender is an IMAP server under measurement, with a session in the
// mailbox of messages of 3 KB and one in that of 50 KB.
type contender struct {
	name    string
	address string
	cold    func(ctx context.Context) error // forgets what it can, restarting
	stop    func()
	node    *node // nil: not ours

	inbox, big *imapConn
}

func startContenders(ctx context.Context, accounts int) ([]*contender, error) {
	n, err := startNode(ctx, accounts, "imap", "imap+tls")
	if err != nil {
		return nil, err
	}
	all := []*contender{{name: n.name(), address: n.address["imap"], cold: n.restart, stop: n.stop, node: n}}
	if !installed("dovecot") || os.Getuid() != 0 {
		return all, nil
	}
	d, err := realtest.StartDovecot(ctx, accounts)
	if err != nil {
		n.stop()
		return nil, err
	}
	return append(all, &contender{name: "Dovecot", address: fmt.Sprintf("127.0.0.1:%d", d.IMAP), cold: d.RestartCold, stop: d.Stop}), nil
}

func (s *contender) login(ctx context.Context, user int) (*imapConn, error) {
	return loginIMAP(ctx, s.address, userName(user), nil)
}

// open begins the sessions that commands are measured in.
func (s *contender) open(ctx context.Context) (err error) {
	s.close()
	if s.inbox, err = s.selected(ctx, 0, "INBOX"); err != nil {
		return err
	}
	s.big, err = s.selected(ctx, 0, "Big")
	return err
}

func (s *contender) close() {
	for _, c := range []*imapConn{s.inbox, s.big} {
		if c != nil {
			c.Close()
		}
	}
	s.inbox, s.big = nil, nil
}

func (s *contender) selected(ctx context.Context, user int, mailbox string) (*imapConn, error) {
	c, err := s.login(ctx, user)
	if err != nil {
		return nil, err
	}
	if _, err := c.do("SELECT " + mailbox); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// can reports whether the server has a capability.
func (s *contender) can(capability string) bool {
	if capability == "" {
		return true
	}
	if _, err := s.inbox.do("CAPABILITY"); err != nil {
		return false
	}
	for word := range strings.FieldsSeq(string(s.inbox.tail)) {
		if word == capability {
			return true
		}
	}
	return false
}

// batch is how many messages one APPEND stores when mailboxes are filled.
const batch = 100

// fill appends n messages to a mailbox, which it makes.
func (s *contender) fill(ctx context.Context, user int, mailbox string, n int, next func() string) error {
	c, err := s.login(ctx, user)
	if err != nil {
		return err
	}
	defer c.Close()
	if mailbox != "INBOX" {
		if _, err := c.do("CREATE " + mailbox); err != nil {
			return err
		}
	}
	for i := 0; i < n && ctx.Err() == nil; {
		var b strings.Builder
		b.WriteString("APPEND " + mailbox)
		for range min(batch, n-i) {
			flags := ""
			if i++; i%50 == 0 {
				flags = ` (\Flagged)`
			}
			m := next()
			fmt.Fprintf(&b, "%s {%d+}\r\n%s", flags, len(m), m)
		}
		if _, err := c.do(b.String()); err != nil {
			return err
		}
	}
	return ctx.Err()
}
