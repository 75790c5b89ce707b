//go:build !unix

package emulator

import "os/exec"

// group does nothing: where there are no process groups there is no sh either,
// and the emulators count as missing.
func group(*exec.Cmd) {}
