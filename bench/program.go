package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// buildExample builds one of the examples from this tree, in a directory.
func buildExample(ctx context.Context, dir, name string) (file string, err error) {
	file = filepath.Join(dir, name)
	build := exec.CommandContext(ctx, "go", "build", "-o", file, "github.com/posthouse-mail/posthouse/examples/"+name)
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return file, nil
}

// startReady starts a program, with more in its environment than this one has,
// and waits until it says that it is ready.
func startReady(file string, env []string, args ...string) (*exec.Cmd, error) {
	cmd := exec.Command(file, args...)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.TrimSpace(lines.Text()) == "ready" {
			return cmd, nil
		}
	}
	return nil, fmt.Errorf("%s ended before it was ready: %w", filepath.Base(file), cmd.Wait())
}

// endProgram asks a program to end and waits for that.
func endProgram(cmd *exec.Cmd) {
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Wait()
}
