//go:build !linux

package realtest

import "os/exec"

func endWithParent(*exec.Cmd) {}
