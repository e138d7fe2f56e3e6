package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// send delivers a load over persistent sessions, each in lock-step as mail
// programs do it, to user0 … user199 of a domain in turn.
func send(ctx context.Context, address, domain string, l load) error {
	group, ctx := errgroup.WithContext(ctx)
	body := message(l.size)
	for s := range l.sessions {
		group.Go(func() error {
			c, err := dial(ctx, address)
			if err != nil {
				return err
			}
			defer c.Close()
			for i := s; i < l.messages; i += l.sessions {
				if err := c.deliver(fmt.Sprintf("user%d@%s", i%mailboxes, domain), body); err != nil {
					return err
				}
			}
			return c.ask("QUIT\r\n", "221")
		})
	}
	return group.Wait()
}

func message(size int) string {
	head := "From: <load@example.org>\r\nSubject: load\r\n\r\n"
	line := strings.Repeat("x", 70) + "\r\n"
	body := strings.Repeat(line, max(1, (size-len(head))/len(line)))
	return head + body
}

// session is one SMTP session.
type session struct {
	net.Conn
	r *bufio.Reader
}

func dial(ctx context.Context, address string) (*session, error) {
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	_ = nc.SetDeadline(time.Now().Add(10 * time.Minute))
	c := &session{nc, bufio.NewReader(nc)}
	if err := c.ask("", "220"); err != nil {
		return nil, err
	}
	return c, c.ask("EHLO load.example.org\r\n", "250")
}

func (c *session) deliver(to, body string) error {
	for _, step := range [][2]string{
		{"MAIL FROM:<load@example.org>\r\n", "250"}, {"RCPT TO:<" + to + ">\r\n", "250"}, {"DATA\r\n", "354"}, {body + ".\r\n", "250"},
	} {
		if err := c.ask(step[0], step[1]); err != nil {
			return err
		}
	}
	return nil
}

func (c *session) ask(s, want string) error {
	if _, err := io.WriteString(c, s); err != nil {
		return err
	}
	for {
		line, err := c.r.ReadString('\n')
		switch {
		case err != nil:
			return err
		case len(line) > 3 && line[3] == '-':
		case !strings.HasPrefix(line, want):
			return fmt.Errorf("%q answered %q", strings.TrimSpace(s[:min(len(s), 60)]), strings.TrimSpace(line))
		default:
			return nil
		}
	}
}
