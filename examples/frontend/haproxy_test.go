package main

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/dialogue"
	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// balanced is a cluster of real programs behind an HAProxy, which has a
// listener for each of the front end's.
type balanced struct {
	t              *testing.T
	front, back    *program
	haproxy        *realtest.HAProxy
	user, password string
}

// The clients' own addresses. HAProxy and the front end have 127.0.0.1.
const (
	aClient = "127.0.0.9"
	guesser = "127.0.0.66"
)

// doors are the listeners of the front end, as it prints them, in the order in
// which HAProxy has one for each.
var doors = []string{"IMAP", "IMAP (TLS)", "POP3", "POP3 (TLS)", "submission", "submission (TLS)", "SMTP", "SMTP (TLS)"}

// startBalanced starts one in which the front end tells the back end of clients
// in some ways, and HAProxy tells the front end by send-proxy or send-proxy-v2.
func startBalanced(t *testing.T, programs, tell, backend, send string) *balanced {
	t.Helper()
	b := &balanced{t: t}
	address := fmt.Sprintf("127.%d.%d.%d", 200+rand.IntN(50), rand.IntN(256), 1+rand.IntN(250))
	data := t.TempDir()
	b.back = startProgram(t, filepath.Join(programs, "backend"), "-data", data,
		"-config", writeFile(t, "backend.toml", fmt.Sprintf("address = %q\ndrain = \"1s\"\nlog_level = \"debug\"\n%s\n", address, backend)))
	b.user = b.back.find(`^account (\S+) password \S+$`)
	b.password = b.back.find(`^account \S+ password (\S+)$`)

	config := fmt.Sprintf(`control = ""
state = %q
drain = "1s"
log_level = "debug"
[map.users]
sources = ["file:%s"]
[backend]
ca_file = %q
tell = [%s]
`, t.TempDir(), writeFile(t, "users.map", b.user+" "+address+"\n"), filepath.Join(data, "tls", "cert.pem"), tell)
	for protocol, port := range map[string]int{"imap": 2143, "pop3": 2110, "submission": 2587, "smtp": 2524} {
		config += fmt.Sprintf(`[[service]]
protocol = %q
map = "users"
backend_port = %d
listen = ["127.0.0.1:0"]
listen_tls = ["127.0.0.1:0"]
proxy_protocol = "required"
proxy_networks = ["127.0.0.1"]
peer_max_connections = 40
peer_max_interval_connections = 60
`, protocol, port)
	}
	b.front = startProgram(t, filepath.Join(programs, "frontend"), "-config", writeFile(t, "frontend.toml", config))
	var servers []string
	for _, door := range doors {
		servers = append(servers, b.front.find("^"+regexp.QuoteMeta(door)+`  +(127\S+)$`))
	}
	var err error
	b.haproxy, err = realtest.StartHAProxyBefore(t.Context(), servers, send, "check", "check-send-proxy", "inter", "20ms")
	require.NoError(t, err)
	t.Cleanup(b.haproxy.Stop)
	return b
}

// connect connects to a listener of HAProxy's from an address.
func (b *balanced) connect(door int, from string) net.Conn {
	b.t.Helper()
	nc, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext(b.t.Context(), "tcp", b.haproxy.Addrs[door])
	require.NoError(b.t, err)
	b.t.Cleanup(func() { nc.Close() })
	return nc
}

// say plays a dialogue with a listener and, in TLS, with the one behind it.
func (b *balanced) say(door int, text string) {
	b.t.Helper()
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + b.user + "\x00" + b.password))
	text = strings.NewReplacer("NAME", b.user, "PASSWORD", b.password, "PLAINRESPONSE", plain).Replace(text)
	dialogue.Play(b.t, b.connect(door, aClient), doors[door], text)
	secure := tls.Client(b.connect(door+1, aClient), &tls.Config{InsecureSkipVerify: true})
	dialogue.Play(b.t, secure, doors[door+1], text)
}

// sayAll has the client work over all protocols.
func (b *balanced) sayAll() {
	b.t.Helper()
	b.say(0, "S~ .* OK .*\nC: a LOGIN NAME PASSWORD\nS~ a OK .*\nC: b NOOP\nS~ b OK .*\n")
	b.say(2, "S~ .OK .*\nC: USER NAME\nS~ .OK.*\nC: PASS PASSWORD\nS~ .OK.*\nC: QUIT\nS~ .OK.*\n")
	b.say(4, "S~ 220 .*\nC: HELO client.test\nS~ 250 .*\nC: AUTH PLAIN PLAINRESPONSE\nS~ 235 .*\nC: MAIL FROM:<NAME>\nS~ 250 .*\nC: RCPT TO:<NAME>\nS~ 250 .*\nC: QUIT\nS~ 221 .*\n")
	b.say(6, "S~ 220 .*\nC: HELO client.test\nS~ 250 .*\nC: MAIL FROM:<a@b.test>\nS~ 250 .*\nC: RCPT TO:<NAME>\nS~ 250 .*\nC: DATA\nS~ 354 .*\nC: Subject: x\nC: \nC: x\nC: .\nS~ 250 .*\nC: QUIT\nS~ 221 .*\n")
}

// sessionLines are the lines in which a tier names a session, by protocol, with
// the client's address.
var sessionLines = map[string][2]string{
	"IMAP":       {`msg=authenticated service=imap remote=CLIENT \S+ session=(\w+) .*backend=`, `msg=authenticated service=imap remote=CLIENT \S+ session=NAME`},
	"POP3":       {`msg="logged in" session=(\w+) remote=CLIENT .*backend=`, `msg="logged in" session=NAME remote=CLIENT`},
	"submission": {`msg=authenticated service=submission remote=CLIENT \S+ session=(\w+)`, `msg=authenticated service=submission remote=CLIENT \S+ session=NAME`},
	"SMTP":       {`msg="message accepted" session=(\w+) .*service=smtp remote=CLIENT `, `msg="message accepted" session=NAME .*service=lmtp remote=CLIENT `},
}

func (b *balanced) requireOneSessionOnBothTiers() {
	b.t.Helper()
	for _, lines := range sessionLines {
		line := strings.ReplaceAll(lines[0], "CLIENT", aClient)
		for _, name := range b.front.logs(line + `(?:.*\n)+.*` + line) { // the plain one, and the one with TLS
			b.back.logs(strings.NewReplacer("CLIENT", aClient, "NAME", name).Replace(lines[1]))
		}
	}
}

// TestP21P27BehindHAProxyTheClientsAddressReachesBothTiers with either version
// of the header, plain and with TLS, and told to the back end in either way.
func TestP21P27BehindHAProxyTheClientsAddressReachesBothTiers(t *testing.T) {
	realtest.Require(t, "haproxy")
	if runtime.GOOS != "linux" {
		t.Skip("only 127.0.0.1 is loopback here")
	}
	programs := buildPrograms(t)
	t.Run("version 2, then ID and XCLIENT", func(t *testing.T) {
		b := startBalanced(t, programs, `"id", "xclient"`, `trusted_front_ends = ["127.0.0.1/32"]`, "send-proxy-v2")
		b.sayAll()
		b.requireOneSessionOnBothTiers()
		b.requireHealthChecksAreNoClients()
		b.requireBypassIsRefused()
		b.requireLimitsAreThoseOfClients()
		b.requireGuessingIsTheGuessers()
	})
	t.Run("version 1, then version 2", func(t *testing.T) {
		b := startBalanced(t, programs, `"proxy"`, "trusted_front_ends = []\nproxy_protocol = \"required\"\nproxy_networks = [\"127.0.0.1\"]", "send-proxy")
		b.sayAll()
		b.requireOneSessionOnBothTiers()
		b.requireHealthChecksAreNoClients()
		b.requireBypassIsRefused()
	})
}

// requireHealthChecksAreNoClients proves that no check has failed, though there
// were more than any peer may connect, and that nobody was told of them.
func (b *balanced) requireHealthChecksAreNoClients() {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		return strings.Count(b.front.log.String(), "remote=127.0.0.1") > 80*len(doors)
	}, waitLong, waitTick, "%s", b.front.log)
	servers, err := b.haproxy.Servers(b.t.Context())
	require.NoError(b.t, err)
	require.Len(b.t, servers, len(doors))
	for i, server := range servers {
		require.Equal(b.t, realtest.HAProxyServer{Status: "UP", Check: "L4OK", Failed: "0"}, server, doors[i])
	}
	b.front.requireNoNoise()
	b.back.requireNoNoise()
}

// requireBypassIsRefused proves X01: who does not come through HAProxy is not
// served, and who comes from its machine without a header neither.
func (b *balanced) requireBypassIsRefused() {
	b.t.Helper()
	for _, from := range []string{aClient, "127.0.0.1"} {
		for _, header := range []string{"", "PROXY TCP4 192.0.2.7 198.51.100.1 1234 143\r\n"} {
			if from == "127.0.0.1" && header != "" {
				continue // that is HAProxy, for all anybody can know
			}
			address := b.front.find(`^IMAP  +(127\S+)$`)
			nc, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext(b.t.Context(), "tcp", address)
			require.NoError(b.t, err)
			require.NoError(b.t, nc.SetDeadline(time.Now().Add(waitLong)))
			_, _ = io.WriteString(nc, header+"a LOGIN x y\r\n")
			got, err := io.ReadAll(nc) // an end, or a reset
			nc.Close()
			require.Empty(b.t, got, err)
		}
	}
	b.front.logs(`msg="connection refused" listener=\S+ remote=` + aClient + ` by="not a listed proxy"`)
	b.front.logs(`msg="connection refused" listener=\S+ remote=127.0.0.1 by="PROXY header: there is none"`)
}

// requireLimitsAreThoseOfClients proves that one client's connections are
// counted, and nobody else's with them.
func (b *balanced) requireLimitsAreThoseOfClients() {
	b.t.Helper()
	const pop3 = 2
	greeted := func(from string) bool {
		nc := b.connect(pop3, from)
		require.NoError(b.t, nc.SetDeadline(time.Now().Add(waitLong)))
		line, _ := bufio.NewReader(nc).ReadString('\n')
		return strings.HasPrefix(line, "+OK")
	}
	for range 40 {
		require.True(b.t, greeted("127.0.0.10"))
	}
	require.False(b.t, greeted("127.0.0.10"), "the 41st of one client")
	require.True(b.t, greeted("127.0.0.11"), "the first of another")
	b.front.logs(`msg="connection refused" listener=\S+ remote=127.0.0.10 by="limit PeerConnections of 40"`)
}

// requireGuessingIsTheGuessers proves that who guesses is slowed down by his own
// address, while others log in.
func (b *balanced) requireGuessingIsTheGuessers() {
	b.t.Helper()
	var guesses sync.WaitGroup
	for i := range 30 {
		nc := b.connect(2, guesser)
		guesses.Go(func() {
			_ = nc.SetDeadline(time.Now().Add(waitLong))
			_, _ = fmt.Fprintf(nc, "USER nobody%d@example.test\r\nPASS x\r\nQUIT\r\n", i)
			_, _ = io.Copy(io.Discard, nc)
		})
	}
	b.front.logs(`msg="authentication failed" service=pop3 remote=` + guesser + `.*too many`)
	b.say(2, "S~ .OK .*\nC: USER NAME\nS~ .OK.*\nC: PASS PASSWORD\nS~ .OK.*\nC: QUIT\nS~ .OK.*\n")
	guesses.Wait()
}
