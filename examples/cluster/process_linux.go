package main

import "syscall"

// endsWithUs has the system end a program when this one ends.
func endsWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
