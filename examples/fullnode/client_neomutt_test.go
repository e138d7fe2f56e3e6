package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// terminal is a program in a terminal of its own, which tmux draws.
type terminal struct {
	t      *testing.T
	dir    string
	socket string
}

// startTerminal runs a command in a terminal. Its tmux server is its own and
// ends with the test.
func startTerminal(t *testing.T, dir, command string) *terminal {
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

func TestNeomuttReadsFlagsDeletesAndSaves(t *testing.T) {
	realtest.Require(t, "neomutt", "tmux")
	n := startNode(t, "")
	n.appendNumbered("INBOX", 1, 6)
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "rc"),
		fmt.Sprintf("set imap_user=%q imap_pass=%q", n.user, n.password), "set ssl_starttls=no ssl_force_tls=no",
		fmt.Sprintf("set folder=%q", "imap://"+n.address["IMAP"]+"/"), "set spoolfile=+INBOX record= mail_check=1 timeout=1 sort=mailbox-order",
		"set mark_old=no confirmcreate=no delete=yes move=no beep=no imap_check_subscribed=no wait_key=no quit=yes")
	s := startTerminal(t, dir, "neomutt -n -F "+filepath.Join(dir, "rc"))
	s.shows("message 5")
	s.press("1", "Enter") // to the first message
	s.press("Enter")
	s.shows("body 1")
	s.press("i") // back to the list
	s.press("2", "Enter", "F")
	s.press("3", "Enter", "d")
	s.press("4", "Enter", "s")
	s.shows("Save to mailbox")
	s.press("C-u")
	s.press("-l", "=Saved")
	s.press("Enter")
	s.press("5", "Enter", "N") // not new
	s.press("$")
	s.shows("Msgs:3")
	n.appendNumbered("INBOX", 6, 7)
	s.shows("message 6") // it looks again by itself
	s.press("q")
	s.ends()
	require.Equal(t, shelf{
		"1@example.org": `\Seen`, "2@example.org": `\Flagged`, "5@example.org": `\Seen`, "6@example.org": "",
	}, n.shelf("INBOX"))
	require.Contains(t, n.shelf("Saved"), "4@example.org")
}
