package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// process is a program of the cluster. It is only ever signalled by its own
// process id.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string // file with what it says
	done chan struct{}
}

// launch starts a program in a directory; what it says goes to a file there.
// The program ends with this one, whatever becomes of it, where the system can
// see to that.
func launch(dir, name string, args ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd = exec.Command(args[0], args[1:]...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, log, log
	p.cmd.SysProcAttr = endsWithUs()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// ready waits until something is so, the program has ended, or ctx has.
func (p *process) ready(ctx context.Context, so func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-p.done:
			return fmt.Errorf("%s has ended: %s", p.name, p.last())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w: %s", p.name, ctx.Err(), p.last())
		case <-tick.C:
		}
	}
	return nil
}

// saysReady reports whether the program has printed the line "ready".
func (p *process) saysReady() bool {
	f, err := os.Open(p.log)
	if err != nil {
		return false
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if lines.Text() == "ready" {
			return true
		}
	}
	return false
}

// last is the last line that the program has said.
func (p *process) last() string {
	text, err := os.Open(p.log)
	if err != nil {
		return ""
	}
	defer text.Close()
	last := ""
	for lines := bufio.NewScanner(text); lines.Scan(); {
		last = lines.Text()
	}
	return last
}

// kill ends the program at once.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// stop lets the program end in order, and kills it when it does not.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return nil
	case <-time.After(30 * time.Second):
		p.kill()
		return fmt.Errorf("%s had to be killed", p.name)
	}
}
