// Package realtest starts other people's mail servers for tests and
// benchmarks: on loopback, with their state in a temporary directory, stopped
// by their process ids.
package realtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Require skips a test when one of the programs is not installed, or fails it
// when POSTHOUSE_REQUIRE=all says that none may be missing.
func Require(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		Missing(t, p)
	}
}

// Missing skips a test for want of something, or fails it when nothing may be
// missing.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("POSTHOUSE_REQUIRE") == "all" {
		t.Fatalf("%s is required and not installed", what)
	}
	t.Skipf("%s is not installed", what)
}

// FreePort returns a port of 127.0.0.1 that nobody listens on at this moment.
func FreePort() (int, error) {
	ports, err := freePorts(1)
	if err != nil {
		return 0, err
	}
	return ports[0], nil
}

// freePorts returns several, no two of them the same: each is held until all
// are found.
func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

// WaitPort waits until somebody listens on a port of 127.0.0.1.
func WaitPort(ctx context.Context, port int) error {
	return waitAddress(ctx, fmt.Sprintf("127.0.0.1:%d", port))
}

// waitAddress waits until somebody listens at "host:port" or at a Unix socket.
func waitAddress(ctx context.Context, address string) error {
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	for {
		nc, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err == nil {
			return nc.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s did not open: %w", address, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// run runs a program to its end; what it printed is part of the error.
func run(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	var out bytes.Buffer
	// A file, not a pipe: daemons keep what they inherit open, and Wait
	// would wait for them.
	log, err := os.CreateTemp("", "realtest")
	if err != nil {
		return err
	}
	defer os.Remove(log.Name())
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(log.Name())
		out.Write(text)
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(out.String()))
	}
	return nil
}

// stateDir makes a directory that servers running under other users can enter.
func stateDir() (string, error) {
	dir, err := os.MkdirTemp("", "peer")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

func write(dir, name, text string) error {
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

var errNotRoot = errors.New("this server can only be started by root")

// RequireRoot skips a test that starts servers which only root can start.
func RequireRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		Missing(t, "the right to start servers as root")
	}
}
