package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// terminal is a program in a terminal of its own, which tmux draws.
type terminal struct {
	t      testing.TB
	dir    string
	socket string
}

// startTerminal runs a command in a terminal. Its tmux server is its own and
// ends with the test.
func startTerminal(t testing.TB, dir, command string) *terminal {
	t.Helper()
	s := &terminal{t, dir, filepath.Join(dir, "tmux")}
	s.tmux("-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "40", command)
	t.Cleanup(func() { _ = s.command("kill-server").Run() })
	return s
}

func (s *terminal) command(args ...string) *exec.Cmd {
	cmd := exec.Command("tmux", append([]string{"-S", s.socket}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+s.dir, "TERM=xterm", "TMUX=", "LC_ALL=C.UTF-8")
	return cmd
}

func (s *terminal) tmux(args ...string) string {
	s.t.Helper()
	out, err := s.command(args...).CombinedOutput()
	require.NoError(s.t, err, "tmux %v: %s", args, out)
	return string(out)
}

// press sends keys, by the names that tmux gives them.
func (s *terminal) press(keys ...string) {
	s.t.Helper()
	s.tmux(append([]string{"send-keys"}, keys...)...)
}

// shows waits until the screen shows a text.
func (s *terminal) shows(text string) {
	s.t.Helper()
	screen := ""
	deadline := time.Now().Add(waitLong)
	for time.Now().Before(deadline) {
		if screen = s.tmux("capture-pane", "-p"); strings.Contains(screen, text) {
			return
		}
		time.Sleep(waitTick)
	}
	s.t.Fatalf("the screen never showed %q, but\n%s", text, screen)
}

// ends waits until the program has left, and its terminal with it.
func (s *terminal) ends() {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return s.command("has-session").Run() != nil }, waitLong, waitTick)
}
