package smtp

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/mail"
)

// piped serves one session over a pipe, in a bubble of its own time.
func piped(t *testing.T, s *Server) *client {
	p, err := s.prepare()
	require.NoError(t, err)
	server, peer := net.Pipe()
	w := wire.New(server, s.Timeouts.wire())
	go func() {
		newConversation(p, w).run(t.Context())
		w.Close()
		w.Release()
	}()
	t.Cleanup(func() { peer.Close() })
	return &client{t, peer, bufio.NewReader(peer)}
}

// anywhere lets everybody log in without TLS.
func anywhere(netip.Addr) bool { return true }

// say sends without waiting for an answer.
func (c *client) say(text string) {
	if text == "" {
		return // a pipe carries even nothing, and waits for a reader
	}
	_, err := io.WriteString(c.nc, text)
	require.NoError(c.t, err)
}

// answer returns the next line that the server says.
func (c *client) answer() string {
	line, err := c.in.ReadString('\n')
	require.NoError(c.t, err)
	return strings.TrimSpace(line)
}

// drip sends an octet each 30 seconds until the server speaks or closes, and
// returns what it said and after which time.
func (c *client) drip() (said string, after time.Duration) {
	began := time.Now()
	quit := make(chan struct{})
	go func() {
		defer close(quit)
		for {
			time.Sleep(30 * time.Second)
			if _, err := c.nc.Write([]byte("x")); err != nil {
				return
			}
		}
	}()
	said = c.answer()
	after = time.Since(began)
	c.nc.Close()
	<-quit
	return said, after
}

func TestS23OneOctetPerHalfMinute(t *testing.T) {
	for phase, begin := range map[string][]string{
		"command": {"HELO c\r\n"},
		"DATA":    {"HELO c\r\n", "MAIL FROM:<a@d.test>\r\n", "RCPT TO:<b@d.test>\r\n", "DATA\r\n"},
		"BDAT":    {"HELO c\r\n", "MAIL FROM:<a@d.test>\r\n", "RCPT TO:<b@d.test>\r\n"},
		"skipped": {"HELO c\r\n"},
	} {
		t.Run(phase, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &box{}
				c := piped(t, newServer(b))
				c.answer()
				for _, line := range begin {
					c.say(line)
					c.answer()
				}
				if phase == "BDAT" || phase == "skipped" {
					c.say("BDAT 1000\r\n")
				}
				said, after := c.drip()
				require.Equal(t, "421 4.4.2 Timeout, closing the connection", said)
				require.LessOrEqual(t, after, 91*time.Second)
				require.Empty(t, b.all())
			})
		})
	}
}

func TestS23SilentClientIsClosedAfterFiveMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := piped(t, newServer(&box{}))
		c.answer()
		began := time.Now()
		require.Equal(t, "421 4.4.2 Timeout, closing the connection", c.answer())
		require.Equal(t, 5*time.Minute, time.Since(began))
	})
}

// A hook that asks around for long must not make the client look slow.
func TestTimeOfHooksIsNotHeldAgainstTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(&box{})
		s.Hooks = append(s.Hooks, Hooks{Header: func(context.Context, *Message) error { time.Sleep(10 * time.Minute); return nil }})
		c := piped(t, s)
		for _, line := range []string{"", "HELO c\r\n", "MAIL FROM:<a@d.test>\r\n", "RCPT TO:<b@d.test>\r\n", "DATA\r\n"} {
			c.say(line)
			c.answer()
		}
		c.say("Subject: x\r\n\r\n")
		c.say("body\r\n.\r\n")
		require.Contains(t, c.answer(), "250 2.0.0 Accepted")
	})
}

func TestS17TarpitByDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(&box{})
		s.Limits = Limits{}
		hookRcpt(s, func(*mail.Recipient) error { return mail.Errorf(550, [3]int{5, 1, 1}, "No such user") })
		c := piped(t, s)
		for _, line := range []string{"", "HELO c\r\n", "MAIL FROM:<a@d.test>\r\n"} {
			c.say(line)
			c.answer()
		}
		began := time.Now()
		for range 20 {
			c.say("RCPT TO:<x@d.test>\r\n")
			require.Equal(t, "550 5.1.1 No such user", c.answer())
		}
		require.Equal(t, "421 4.7.0 Too many errors", c.answer())
		require.Equal(t, 10*time.Second, time.Since(began))
	})
}

func TestFailedLoginsAreAnsweredSlower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(&box{})
		s.Limits = Limits{}
		s.PlainAuth = anywhere
		c := piped(t, s)
		c.answer()
		c.say("HELO c\r\n")
		c.answer()
		began := time.Now()
		for range 5 {
			c.say("AUTH PLAIN AGFsaWNlAHdyb25n\r\n")
			require.Equal(t, "535 5.7.8 Authentication failed", c.answer())
		}
		require.Equal(t, "421 4.7.0 Too many failed logins", c.answer())
		require.Equal(t, (1+2+3+4+5)*time.Second, time.Since(began))
	})
}

func TestIdleTimeoutHoldsAgainAfterTheGreetDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(&box{})
		s.GreetDelay = 6 * time.Second
		c := piped(t, s)
		began := time.Now()
		require.Equal(t, "220 mx.example.test ESMTP Posthouse", c.answer())
		require.Equal(t, 6*time.Second, time.Since(began))
		time.Sleep(4 * time.Minute)
		c.say("NOOP\r\n")
		require.Equal(t, "250 2.0.0 OK", c.answer())
	})
}
