//go:build unix

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
	"github.com/posthouse-mail/posthouse/smtp"
)

// upgradable is a front end that runs as a process, and may be followed by
// another.
type upgradable struct {
	cmd   *exec.Cmd
	ended chan error
	log   string // a file
}

// startUpgradable builds and starts one that serves at a port.
func startUpgradable(t *testing.T, port int, config string) *upgradable {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "frontend")
	text, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", text)
	u := &upgradable{ended: make(chan error, 1), log: filepath.Join(dir, "log")}
	out, err := os.Create(u.log)
	require.NoError(t, err)
	t.Cleanup(func() { out.Close() })
	u.cmd = exec.Command(program, "-config", writeFile(t, "c.toml", config))
	u.cmd.Stdout, u.cmd.Stderr = out, out
	require.NoError(t, u.cmd.Start())
	go func() { u.ended <- u.cmd.Wait() }()
	t.Cleanup(func() { _ = u.cmd.Process.Kill() })
	require.NoError(t, realtest.WaitPort(t.Context(), port))
	return u
}

// handedOver waits until the other process serves, and returns its id.
func (u *upgradable) handedOver(t *testing.T) (pid int) {
	t.Helper()
	var found [][]byte
	require.Eventually(t, func() bool {
		printed, err := os.ReadFile(u.log)
		found = regexp.MustCompile(`msg="handed over" pid=(\d+)`).FindSubmatch(printed)
		return err == nil && found != nil
	}, 2*waitLong, waitTick)
	pid, err := strconv.Atoi(string(found[1]))
	require.NoError(t, err)
	return pid
}

// upgrade waits until the process has given way to another, and returns the id
// of that, which ends with the test at the latest.
func (u *upgradable) upgrade(t *testing.T) (pid int) {
	t.Helper()
	require.NoError(t, u.cmd.Process.Signal(syscall.SIGUSR2))
	pid = u.handedOver(t)
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	require.NoError(t, <-u.ended, "the first process has drained and ended")
	return pid
}

// TestP39AnUpgradeRefusesNoConnection replaces a front end by a new process of
// the same program while clients connect.
func TestP39AnUpgradeRefusesNoConnection(t *testing.T) {
	b := startBackEnd(t, "back end", "alice@example.test")
	port, err := realtest.FreePort()
	require.NoError(t, err)
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	config := fmt.Sprintf("state = %q\ncontrol = \"\"\ndrain = \"5s\"\ndefault_route = %q\n[[service]]\nprotocol = \"pop3\"\nlisten = [%q]\n", t.TempDir(), b.route(), address)
	u := startUpgradable(t, port, config)

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
	second := u.upgrade(t)
	close(done)
	clients.Wait()

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

// TestP39AnUpgradeTakesTheQueueOver while mail waits in it, and clients come.
func TestP39AnUpgradeTakesTheQueueOver(t *testing.T) {
	port, err := realtest.FreePort()
	require.NoError(t, err)
	down, address := notYetThere(t), net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	users := fmt.Sprintf("\"file:%s\"", writeFile(t, "users.map", "bob@example.test "+down.route()+"\n"))
	u := startUpgradable(t, port, strings.Replace(queueing(t.TempDir(), users, ""), "listen = [\"127.0.0.1:0\"]", fmt.Sprintf("listen = [%q]", address), 1))
	sends(t, address, "before", "250 .*", "bob@example.test")
	busy, err := net.Dial("tcp", address) // keeps the first process, and so the queue, until it is cut
	require.NoError(t, err)
	defer busy.Close()
	_, err = io.WriteString(busy, "HELO client.test\r\nMAIL FROM:<sender@far.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n")
	require.NoError(t, err)
	in := bufio.NewReader(busy)
	for line := ""; !strings.HasPrefix(line, "354 "); {
		line, err = in.ReadString('\n')
		require.NoError(t, err)
	}
	var client sync.WaitGroup
	client.Go(func() {
		u.handedOver(t)
		sends(t, address, "meanwhile", "250 .*", "bob@example.test")
	})
	u.upgrade(t)
	client.Wait()
	sends(t, address, "after", "250 .*", "bob@example.test")
	down.open(t, smtp.LMTP)
	require.Eventually(t, func() bool { return len(down.all()) == 3 }, 2*waitLong, waitTick)
	require.ElementsMatch(t, []string{"bob@example.test Subject: before", "bob@example.test Subject: meanwhile", "bob@example.test Subject: after"}, down.all())
}
