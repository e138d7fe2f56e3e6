package main

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// throughFront connects to a service as a front end at an address does.
func (n *testNode) throughFront(service, front string) *lineConn {
	n.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(front)}}
	nc, err := d.Dial("tcp", n.address[service])
	require.NoError(n.t, err)
	require.NoError(n.t, nc.SetDeadline(time.Now().Add(time.Minute)))
	n.t.Cleanup(func() { nc.Close() })
	return &lineConn{n.t, nc, bufio.NewReader(nc)}
}

// loginBy tries a password by a protocol, for a client of a front end, and
// returns the answer.
func (n *testNode) loginBy(service, front, client, password string) string {
	c := n.throughFront(service, front)
	defer c.Close()
	switch service {
	case "IMAP":
		c.line()
		c.imapLines(fmt.Sprintf(`ID ("x-originating-ip" %q)`, client))
		said := strings.Split(strings.TrimSpace(c.imapLines(fmt.Sprintf("LOGIN %s %s", n.user, password))), "\n")
		return said[len(said)-1]
	case "POP3":
		for _, line := range []string{"XCLIENT ADDR=" + client, "USER " + n.user, "PASS " + password} {
			c.line()
			c.send(line + "\r\n")
		}
		return c.line()
	}
	c.reply()
	c.command("XCLIENT ADDR=" + client)
	c.command("EHLO client.example.org")
	return c.command("AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+n.user+"\x00"+password)))
}

// TestP52GuessesByAllProtocolsAndFrontEndsCountTogether: no protocol, no front
// end and no client alone guesses often enough to be slowed down. A client that
// the user is known to have is not held up, since the back end is told who the
// clients are.
func TestP52GuessesByAllProtocolsAndFrontEndsCountTogether(t *testing.T) {
	if l, err := net.Listen("tcp", "127.0.0.2:0"); err != nil {
		t.Skip("only 127.0.0.1 is loopback here")
	} else {
		l.Close()
	}
	n := startNode(t, "trusted_front_ends = [\"127.0.0.0/8\"]\n")
	require.Contains(t, n.loginBy("IMAP", "127.0.0.2", "192.0.2.50", n.password), "T OK")
	var guesses sync.WaitGroup
	answers := make([]string, 12) // five failures are free, to each protocol four
	for i := range answers {
		guesses.Go(func() {
			answers[i] = n.loginBy([]string{"IMAP", "POP3", "submission"}[i%3], fmt.Sprintf("127.0.0.%d", 2+i%4), fmt.Sprintf("192.0.2.%d", 100+i), "wrong")
		})
	}
	guesses.Wait()
	require.Contains(t, strings.Join(answers, "\n"), "Too many failed ")
	require.Contains(t, n.loginBy("POP3", "127.0.0.4", "192.0.2.50", n.password), "+OK", "from where he is known, by whatever front end and protocol")
}
