package realtest

import (
	"os/exec"
	"syscall"
)

// endWithParent lets a program end with this one, even when that is killed or
// panics, as after the time limit of a test.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
