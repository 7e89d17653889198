//go:build unix && !linux

package spice

import (
	"os/exec"
	"syscall"
)

// own makes the command the head of a group of processes, which ends with it.
func own(command *exec.Cmd) { command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func memory() int64 { return 0 }
