//go:build unix

package emulator

import (
	"os/exec"
	"syscall"
)

// group gives the command a process group of its own, so that its watcher can end
// all of it and nothing else.
func group(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
