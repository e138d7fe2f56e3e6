package realtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// alone names the variable that tells a test's own process which test it is.
const alone = "POSTHOUSE_ALONE"

// Alone has a test run in a process of its own, in an empty network of its own:
// whatever it does to networks happens nowhere else, and is gone with the
// process. It returns true in that process; elsewhere it waits for its end, and
// false says that all is done. It needs the programs ip and tc, and root or the
// right to be root in a namespace of users: the test is skipped without them,
// or fails when nothing may be missing. It is for whole tests, not for parts of
// one.
func Alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(alone) == t.Name() {
		if err := ip("link", "set", "lo", "up"); err != nil {
			t.Fatal(err)
		}
		return true
	}
	Require(t, "ip", "tc")
	args := []string{"-test.run=^" + t.Name() + "$", "-test.v", "-test.count=1", "-test.parallel=16"} // what has cut networks waits, mostly
	if end, ok := t.Deadline(); ok {
		args = append(args, fmt.Sprint("-test.timeout=", time.Until(end)))
	}
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), alone+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	text, err := outputOf(cmd)
	switch {
	case errors.Is(err, os.ErrPermission), errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOSPC):
		Missing(t, "the right to make network namespaces ("+err.Error()+")")
	case err != nil:
		t.Fatalf("%v\n%s", err, text)
	case strings.HasPrefix(text, "--- SKIP") || strings.Contains(text, "\n--- SKIP"):
		t.Skip(text)
	}
	t.Log(text)
	return false
}

// outputOf runs a program that ends with this one.
func outputOf(cmd *exec.Cmd) (text string, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // the program ends with the thread that started it
		defer runtime.UnlockOSThread()
		var out []byte
		out, err = cmd.CombinedOutput()
		text = string(out)
	}()
	<-done
	return text, err
}
