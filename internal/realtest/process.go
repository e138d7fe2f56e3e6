package realtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is a server that runs in the foreground.
type process struct {
	cmd  *exec.Cmd
	log  string        // the file with what it printed
	done chan struct{} // closed when it has ended
}

// startProcess starts a program whose output is appended to the file log.
func startProcess(log, name string, args ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close() // the program has its own
	p := &process{cmd: exec.Command(name, args...), log: log, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	endWithParent(p.cmd)
	started := make(chan error)
	go func() {
		defer close(p.done)
		runtime.LockOSThread() // the program ends with the thread that started it
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// ready waits until the program listens at some addresses. An error tells
// what it printed; the program has ended then.
func (p *process) ready(ctx context.Context, addresses ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	go func() {
		select {
		case <-p.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	for _, a := range addresses {
		if err := waitAddress(ctx, a); err != nil {
			p.end(syscall.SIGKILL)
			text, _ := os.ReadFile(p.log)
			return fmt.Errorf("%w\n%s", err, text[max(0, len(text)-4096):])
		}
	}
	return nil
}

// end sends a signal and waits until the program has ended; after ten seconds
// it is killed.
func (p *process) end(signal os.Signal) {
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}
