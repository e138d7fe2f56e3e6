package main

import (
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// manyConnections is how many silent connections a test opens; the
// environment can ask for more.
func manyConnections(t *testing.T) int {
	if s := os.Getenv("POSTHOUSE_CONNECTIONS"); s != "" {
		n, err := strconv.Atoi(s)
		require.NoError(t, err)
		return n
	}
	return 1000
}

func TestS24SilentConnectionsKeepNobodyOut(t *testing.T) {
	n := startNode(t, "")
	many := manyConnections(t)
	config := strings.ReplaceAll(freePorts, "[smtp]\n", "[smtp]\nmax_connections = 0\npeer_max_connections = 0\n")
	n.stop()
	require.NoError(t, os.WriteFile(n.dir+"/config.toml", []byte(config), 0o600))
	again := startIn(t, n.dir)
	again.user, again.password = n.user, n.password
	silent := make([]net.Conn, many)
	for i := range silent {
		nc, err := net.Dial("tcp", again.address["SMTP"])
		require.NoError(t, err, "connection %d", i)
		defer nc.Close()
		silent[i] = nc
	}
	again.sendOne("Subject: among many\r\n\r\nbody\r\n")
	require.Len(t, bodies(t, again.imapClient(), "INBOX"), 1)
	for _, nc := range silent {
		nc.Close()
	}
	again.stop()
}

func TestS24ConnectionsOfOnePeerAreLimitedAndRecover(t *testing.T) {
	dir := t.TempDir()
	config := strings.Replace(freePorts, "[pop3]\n", "[pop3]\npeer_max_connections = 2\n", 1)
	require.NoError(t, os.WriteFile(dir+"/config.toml", []byte(config), 0o600))
	n := startIn(t, dir)
	first, second := n.dial("POP3"), n.dial("POP3")
	require.Regexp(t, `^\+OK`, first.line())
	require.Regexp(t, `^\+OK`, second.line())
	_, err := n.dial("POP3").r.ReadByte()
	require.Error(t, err, "the third is closed without an octet")
	first.send("QUIT\r\n")
	require.Regexp(t, `^\+OK`, first.line())
	require.Eventually(t, func() bool {
		c := n.dial("POP3")
		defer c.Close()
		_, err := c.r.ReadByte()
		return err == nil
	}, waitLong, waitTick)
}
