package imap

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/testcert"
	"github.com/posthouse-mail/posthouse/storage/memory"
)

// idleChild names the variable that turns the test program into a server
// whose memory is measured from outside.
const idleChild = "POSTHOUSE_IDLE_CHILD"

// runIdleChild serves until its input ends, and answers every line with its
// resident memory in octets.
func runIdleChild() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	store := memory.New()
	var t testing.T
	for range 10 {
		deliverTo(&t, store, "alice", "INBOX", plainMessage)
	}
	if os.Getenv(idleChild) == "tls" {
		l = tls.NewListener(l, testcert.Server())
	}
	s := quietServer(store)
	go func() { _ = s.Serve(context.Background(), l) }()
	fmt.Println(l.Addr())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		for range 4 { // stacks shrink by half each time
			debug.FreeOSMemory()
		}
		fmt.Println(resident())
	}
}

func resident() int {
	text, _ := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(fields[1])
	return pages * os.Getpagesize()
}

// BenchmarkIdleMemory reports what a connection in IDLE costs a server, in
// KiB of resident memory. The goal is 6 without TLS.
func BenchmarkIdleMemory(b *testing.B) {
	for _, kind := range []string{"plain", "tls", "deflate"} {
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(idleCost(b, kind, 2000), "KiB/connection")
			}
		})
	}
}

func idleCost(b testing.TB, kind string, connections int) float64 {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), idleChild+"="+kind)
	stdin, err := cmd.StdinPipe()
	require.NoError(b, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	defer func() { stdin.Close(); _ = cmd.Wait() }()
	answers := bufio.NewScanner(stdout)
	require.True(b, answers.Scan())
	addr := answers.Text()
	measure := func() int {
		_, err := io.WriteString(stdin, "\n")
		require.NoError(b, err)
		require.True(b, answers.Scan())
		n, err := strconv.Atoi(answers.Text())
		require.NoError(b, err)
		return n
	}
	idle := func() net.Conn {
		conn, err := net.Dial("tcp", addr)
		require.NoError(b, err)
		var c *client
		if kind == "tls" {
			config := testcert.Client()
			config.InsecureSkipVerify = true // the child has a certificate of its own
			c = talk(b, tls.Client(conn, config))
		} else {
			c = talk(b, conn)
		}
		c.ok("LOGIN alice secret")
		if kind == "deflate" {
			c.compress()
		}
		c.ok("SELECT INBOX")
		c.send("i IDLE\r\n")
		require.Equal(b, "+ idling", c.line())
		return conn
	}
	for range 50 { // what is paid once
		defer idle().Close()
	}
	before := measure()
	for range connections {
		defer idle().Close()
	}
	return float64(measure()-before) / float64(connections) / 1024
}
