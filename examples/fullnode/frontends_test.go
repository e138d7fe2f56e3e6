package main

import (
	"bufio"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/examples/internal/config"
	"github.com/posthouse-mail/posthouse/internal/dialogue"
	"github.com/posthouse-mail/posthouse/listener"
)

func TestFrontEndsHaveLimitsOfTheirOwn(t *testing.T) {
	c, err := configOf(t, "trusted_front_ends = [\"10.0.0.0/8\", \"2001:db8::/32\"]\n[imap]\nmax_connections = 5\n[[imap.rule]]\naddresses = \"10.0.0.66\"\naction = \"deny\"\npriority = 7\n")
	require.NoError(t, err)
	rulesOf := func(s *config.Service) []listener.Rule { return s.Listeners(nil, c.TrustedFrontEnds)[0].Service }
	decide := func(address string) listener.Decision {
		return listener.Decide(netip.MustParseAddr(address), nil, rulesOf(&c.IMAP))
	}
	require.Nil(t, decide("192.0.2.1").Rule)
	require.Equal(t, listener.Deny, decide("10.0.0.66").Action, "the operator's rules come first")
	for _, address := range []string{"10.0.0.1", "2001:db8::1"} {
		require.Equal(t, listener.Limits{Connections: 5}, decide(address).Rule.Limits)
	}
	c.POP3.MaxConnections = 0
	require.NotZero(t, rulesOf(&c.POP3)[0].Limits)
	require.Len(t, rulesOf(&c.IMAP), 2)
	_, err = configOf(t, "trusted_front_ends = [\"10.0.0.0/99\"]\n")
	require.Error(t, err)
}

func TestP21AServiceMayStandBehindLoadBalancers(t *testing.T) {
	c, err := configOf(t, "trusted_front_ends = [\"10.1.0.0/16\"]\n[imap]\nproxy_protocol = \"required\"\nproxy_networks = [\"10.0.0.1\", \"10.0.0.4-10.0.0.5\"]\n")
	require.NoError(t, err)
	for _, l := range c.IMAP.Listeners(nil, nil) {
		require.Equal(t, listener.ProxyRequired, l.Proxy)
		require.True(t, l.ProxyFrom.Contains(netip.MustParseAddr("10.0.0.5")))
		require.False(t, l.ProxyFrom.Contains(netip.MustParseAddr("10.0.0.2")))
	}
	require.Equal(t, listener.ProxyOff, c.POP3.Listeners(nil, nil)[0].Proxy)
	for address, many := range map[string]bool{"10.0.0.1": true, "10.1.2.3": true, "10.0.0.2": false} {
		require.Equal(t, many, c.manyAt()(netip.MustParseAddr(address)), address)
	}
	_, err = configOf(t, "[imap]\nproxy_protocol = \"required\"\n")
	require.ErrorContains(t, err, "imap: proxy_protocol needs proxy_networks")
}

// TestP27BackEndLogsTheClientOfAFrontEnd in all services, with the front end's
// name for the session.
func TestP27BackEndLogsTheClientOfAFrontEnd(t *testing.T) {
	n := startNode(t, "trusted_front_ends = [\"127.0.0.0/8\"]\n")
	say := func(service, text string) {
		t.Helper()
		nc, err := net.Dial("tcp", n.address[service])
		require.NoError(t, err)
		dialogue.Play(t, nc, service, strings.NewReplacer("NAME", n.user, "PASSWORD", n.password).Replace(text))
	}
	say("IMAP", "S~ .* OK .*\nC: a ID (\"x-originating-ip\" \"192.0.2.7\" \"x-session-id\" \"imap1\")\nS~ .*\nS: a OK ID completed\nC: b LOGIN NAME PASSWORD\nS~ b OK .*\n")
	say("POP3", "S~ .OK \\[XCLIENT\\] .*\nC: XCLIENT ADDR=192.0.2.8 SESSION=pop1\nS: +OK Updated\nC: USER NAME\nS~ .OK.*\nC: PASS PASSWORD\nS~ .OK.*\n")
	say("SMTP", "S~ 220 .*\nC: XCLIENT ADDR=192.0.2.9 SESSION=smtp1\nS~ 220 .*\nC: HELO x\nS~ 250 .*\nC: MAIL FROM:<a@b.test>\nS~ 250 .*\nC: RCPT TO:<x@far.test>\nS~ 550 .*\n")
	say("LMTP", "S~ 220 .*\nC: XCLIENT ADDR=192.0.2.10 SESSION=lmtp1\nS~ 220 .*\nC: MAIL FROM:<a@b.test>\nS~ 503 .*\n")
	for _, line := range []string{
		"authenticated service=imap remote=192.0.2.7 user=" + n.user + " session=imap1 front=127.0.0.1",
		"session=pop1 remote=192.0.2.8 messages=", "session=smtp1 service=smtp remote=192.0.2.9 ", "session=lmtp1 service=lmtp remote=192.0.2.10 ",
	} {
		require.Eventually(t, func() bool { return strings.Contains(n.log.String(), line) }, 20*time.Second, time.Millisecond, line)
	}
}

// TestS19FrontEndThatTellsNothingMayNotRelay although its network may.
func TestS19FrontEndThatTellsNothingMayNotRelay(t *testing.T) {
	n := startNode(t, "trusted_front_ends = [\"127.0.0.0/8\"]\n[relay]\ntrusted_networks = [\"127.0.0.0/8\", \"192.0.2.0/24\"]\n")
	answer := func(xclient string) string {
		nc, err := net.Dial("tcp", n.address["SMTP"])
		require.NoError(t, err)
		defer nc.Close()
		require.NoError(t, nc.SetDeadline(time.Now().Add(20*time.Second)))
		in := bufio.NewReader(nc)
		var last string
		for _, line := range []string{"", xclient, "HELO x\r\n", "MAIL FROM:<a@b.test>\r\n", "RCPT TO:<x@far.test>\r\n"} {
			if line == "" && last != "" {
				continue
			}
			_, err := io.WriteString(nc, line)
			require.NoError(t, err)
			last, err = in.ReadString('\n')
			require.NoError(t, err)
		}
		return last[:3]
	}
	require.Equal(t, "550", answer(""))
	require.Equal(t, "550", answer("XCLIENT ADDR=[UNAVAILABLE]\r\n"))
	require.Equal(t, "550", answer("XCLIENT ADDR=198.51.100.1\r\n"))
	require.Equal(t, "250", answer("XCLIENT ADDR=192.0.2.7\r\n"), "by the network that the client comes from")
}
