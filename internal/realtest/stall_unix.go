//go:build unix

package realtest

import "syscall"

// pause lets the program stand still: its connections stay open, and nothing
// is answered.
func (p *process) pause() error { return p.cmd.Process.Signal(syscall.SIGSTOP) }

// resume lets it go on.
func (p *process) resume() error { return p.cmd.Process.Signal(syscall.SIGCONT) }
