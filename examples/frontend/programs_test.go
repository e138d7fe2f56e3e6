package main

import (
	"bufio"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// buildPrograms builds the front end and the back end, and returns the directory
// with both.
func buildPrograms(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	text, err := exec.Command("go", "build", "-o", dir+string(filepath.Separator), ".", "../backend").CombinedOutput()
	require.NoError(t, err, "%s", text)
	return dir
}

// program is a front end or a back end that runs as a process of its own.
type program struct {
	t       *testing.T
	printed []string // lines, up to the one that says that it is ready
	log     *logText
}

// startProgram runs a program until the test ends.
func startProgram(t *testing.T, path string, args ...string) *program {
	t.Helper()
	p := &program{t: t, log: &logText{}}
	cmd := exec.Command(path, args...)
	cmd.Stderr = p.log
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(waitLong):
			_ = cmd.Process.Kill()
			<-ended
		}
	})
	ready := make(chan bool, 1)
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(out)
		for lines.Scan() && lines.Text() != "ready" {
			p.printed = append(p.printed, lines.Text())
		}
		ready <- lines.Text() == "ready"
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	}()
	require.True(t, <-ready, "%s did not start: %s", filepath.Base(path), p.log)
	return p
}

// find returns what the group of a pattern is in a line that it has printed.
func (p *program) find(pattern string) string {
	p.t.Helper()
	found := regexp.MustCompile("(?m)" + pattern).FindStringSubmatch(strings.Join(p.printed, "\n"))
	require.NotNil(p.t, found, "%s is not in %q", pattern, p.printed)
	return found[1]
}

// logs waits for a line of its log, and returns what the groups of the pattern
// are in it.
func (p *program) logs(pattern string) []string {
	p.t.Helper()
	var found []string
	re := regexp.MustCompile(pattern)
	require.Eventually(p.t, func() bool {
		found = re.FindStringSubmatch(p.log.String())
		return found != nil
	}, waitLong, waitTick, "%s is not in\n%s", pattern, p.log)
	return found[1:]
}

// logText is a log that grows.
type logText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// requireNoNoise proves that nothing above the level of information stands in a
// log.
func (p *program) requireNoNoise() {
	p.t.Helper()
	for line := range strings.Lines(p.log.String()) {
		require.NotRegexp(p.t, `level=(WARN|ERROR)`, line)
	}
}
