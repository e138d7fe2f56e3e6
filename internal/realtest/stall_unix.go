//go:build unix

package realtest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// pause lets the program stand still: its connections stay open, and nothing
// is answered. Where /proc tells, it returns when all threads do.
func (p *process) pause() error {
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if p.isPaused() {
			return nil
		}
	}
	return fmt.Errorf("process %d goes on in spite of SIGSTOP", p.cmd.Process.Pid)
}

// isPaused reports whether every thread is stopped: "T" stands behind the name
// of the program in its stat, which may hold any character.
func (p *process) isPaused() bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid))
	for _, file := range threads {
		stat, err := os.ReadFile(file)
		if i := bytes.LastIndexByte(stat, ')'); err == nil && i >= 0 && !bytes.HasPrefix(stat[i:], []byte(") T")) {
			return false
		}
	}
	return true
}

// resume lets it go on.
func (p *process) resume() error { return p.cmd.Process.Signal(syscall.SIGCONT) }
