package main

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestR3415ABackEndServesItsAccountOverEveryProtocol starts the program as its
// documentation says, at an address of its own.
func TestR3415ABackEndServesItsAccountOverEveryProtocol(t *testing.T) {
	dir := t.TempDir()
	address := fmt.Sprintf("127.%d.%d.%d", 200+rand.IntN(50), rand.IntN(256), 1+rand.IntN(250))
	if l, err := net.Listen("tcp", net.JoinHostPort(address, "0")); err != nil {
		t.Skip("only 127.0.0.1 is loopback here")
	} else {
		l.Close()
	}
	file := filepath.Join(dir, "backend.toml")
	require.NoError(t, os.WriteFile(file, []byte(fmt.Sprintf("address = %q\ndrain = \"1s\"\n", address)), 0o600))
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	read, write, err := os.Pipe()
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, file, filepath.Join(dir, "data"), write); write.Close() }()
	defer func() { cancel(); require.NoError(t, <-ended) }()

	password := ""
	lines := bufio.NewScanner(read)
	for lines.Scan() && lines.Text() != "ready" {
		if _, after, ok := strings.Cut(lines.Text(), "account alice@example.test password "); ok {
			password = after
		}
	}
	require.NotEmpty(t, password)
	for port, dialogue := range map[string][][2]string{
		"2110": {{"", "+OK"}, {"USER alice@example.test", "+OK"}, {"PASS " + password, "+OK"}, {"QUIT", "+OK"}},
		"2143": {{"", "* OK"}, {"A LOGIN alice@example.test " + password, "A OK"}},
		"2524": {{"", "220"}, {"LHLO x.test", "250"}},
		"2525": {{"", "220"}, {"HELO x.test", "250"}, {"MAIL FROM:<>", "250"}, {"RCPT TO:<bob@example.test>", "550"}},
		"2587": {{"", "220"}, {"HELO x.test", "250"}, {"MAIL FROM:<>", "530"}},
	} {
		talk(t, net.JoinHostPort(address, port), dialogue)
	}
}

// talk says each line and reads until an answer begins as it should.
func talk(t *testing.T, address string, dialogue [][2]string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(30*time.Second)))
	r := bufio.NewReader(c)
	for _, turn := range dialogue {
		if turn[0] != "" {
			_, err := fmt.Fprintf(c, "%s\r\n", turn[0])
			require.NoError(t, err)
		}
		line, err := r.ReadString('\n')
		require.NoError(t, err)
		for strings.HasPrefix(line, "250-") || strings.HasPrefix(line, "* ") && !strings.HasPrefix(turn[1], "* ") {
			line, err = r.ReadString('\n')
			require.NoError(t, err)
		}
		require.True(t, strings.HasPrefix(line, turn[1]), "%s: %q is answered %q", address, turn[0], line)
	}
}
