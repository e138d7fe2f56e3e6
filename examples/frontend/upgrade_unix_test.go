//go:build unix

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// TestP39AnUpgradeRefusesNoConnection replaces a front end by a new process of
// the same program while clients connect.
func TestP39AnUpgradeRefusesNoConnection(t *testing.T) {
	dir := t.TempDir()
	program, log := filepath.Join(dir, "frontend"), filepath.Join(dir, "log")
	text, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", text)
	b := startBackEnd(t, "back end", "alice@example.test")
	port, err := realtest.FreePort()
	require.NoError(t, err)
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	config := fmt.Sprintf("state = %q\ncontrol = \"\"\ndrain = \"5s\"\ndefault_route = %q\n[[service]]\nprotocol = \"pop3\"\nlisten = [%q]\n", dir, b.route(), address)
	out, err := os.Create(log)
	require.NoError(t, err)
	defer out.Close()
	first := exec.Command(program, "-config", writeFile(t, "c.toml", config))
	first.Stdout, first.Stderr = out, out
	require.NoError(t, first.Start())
	ended := make(chan error, 1)
	go func() { ended <- first.Wait() }()
	t.Cleanup(func() { _ = first.Process.Kill() })
	require.NoError(t, realtest.WaitPort(t.Context(), port))

	var clients sync.WaitGroup
	done := make(chan struct{})
	clients.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Errorf("a client was refused: %v", err)
				return
			}
			c.Close()
		}
	})
	require.NoError(t, first.Process.Signal(syscall.SIGUSR2))
	require.NoError(t, <-ended, "the first process has drained and ended")
	close(done)
	clients.Wait()

	printed, err := os.ReadFile(log)
	require.NoError(t, err)
	pid := regexp.MustCompile(`msg="handed over" pid=(\d+)`).FindSubmatch(printed)
	require.NotNil(t, pid, "%s", printed)
	second, err := strconv.Atoi(string(pid[1]))
	require.NoError(t, err)
	t.Cleanup(func() { _ = syscall.Kill(second, syscall.SIGKILL) })
	_, mail := readPOP3(t, address, "alice@example.test", "pw")
	require.Contains(t, mail, "kept at back end")
	require.NoError(t, syscall.Kill(second, syscall.SIGTERM))
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err != nil
	}, waitLong, waitTick)
}
