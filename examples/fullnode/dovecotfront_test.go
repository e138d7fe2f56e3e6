package main

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/dialogue"
	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// TestP27DovecotInFrontTellsOfItsClients has Dovecot's proxies as the front end
// of a node, and a client of another address: the node logs that one, with
// Dovecot's names for the sessions.
func TestP27DovecotInFrontTellsOfItsClients(t *testing.T) {
	realtest.Require(t, "dovecot")
	realtest.RequireRoot(t)
	n := startNode(t, "trusted_front_ends = [\"127.0.0.1/32\"]\n")
	port := func(service string) int { return int(netip.MustParseAddrPort(n.address[service]).Port()) }
	front, err := realtest.StartDovecotProxy(t.Context(), realtest.Backends{IMAP: port("IMAP"), POP3: port("POP3"), LMTP: port("LMTP")})
	require.NoError(t, err)
	t.Cleanup(front.Stop)
	say := func(port int, text string) {
		t.Helper()
		local := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
		nc, err := local.DialContext(t.Context(), "tcp", fmt.Sprint("127.0.0.1:", port))
		require.NoError(t, err)
		dialogue.Play(t, nc, t.Name(), strings.NewReplacer("NAME", n.user, "PASSWORD", n.password).Replace(text))
	}
	say(front.LMTP, "S~ 220 .*\nC: LHLO client.test\nS~ 250-.*\nS~ 250-.*\nS~ 250-.*\nS~ 250-.*\nS~ 250-.*\nS~ 250 .*\n"+
		"C: MAIL FROM:<a@b.test>\nS~ 250 .*\nC: RCPT TO:<NAME>\nS~ 250 .*\nC: DATA\nS~ 354 .*\nC: Subject: x\nC: \nC: x\nC: .\nS~ 250 .*\nC: QUIT\nS~ 221 .*\n")
	say(front.IMAP, "S~ .* OK .*\nC: a LOGIN NAME wrong\nS~ a NO .*\nC: a LOGIN NAME PASSWORD\nS~ a OK .*\nC: b LOGOUT\nS~ .*\nS~ b OK.*\n")
	say(front.POP3, "S~ .OK .*\nC: USER NAME\nS~ .OK.*\nC: PASS PASSWORD\nS~ .OK.*\nC: QUIT\nS~ .OK.*\n")

	logged := func(line string) string {
		t.Helper()
		pattern := regexp.MustCompile(line)
		require.Eventually(t, func() bool { return pattern.MatchString(n.log.String()) }, 20*time.Second, time.Millisecond, "%s\n%s", line, n.log)
		return pattern.FindStringSubmatch(n.log.String())[1]
	}
	names := []string{
		logged(`msg="message accepted" session="?([^ "]+)"? .*service=lmtp remote=127.0.0.9 .* front=127.0.0.1`),
		logged(`msg="authentication failed" service=imap remote=127.0.0.9 user=\S+ session="?([^ "]+)"? .* front=127.0.0.1`),
		logged(`msg=authenticated service=imap remote=127.0.0.9 user=\S+ session="?([^ "]+)"? front=127.0.0.1`),
		logged(`msg="logged in" session="?([^ "]+)"? remote=127.0.0.9 .* front=127.0.0.1`),
	}
	for _, name := range names {
		name, _, _ = strings.Cut(name, ":") // LMTP's has the number of the back end behind it
		require.Eventually(t, func() bool { return strings.Contains(front.Log(), name) }, 20*time.Second, 10*time.Millisecond, "%s\n%s", name, front.Log())
	}
}
