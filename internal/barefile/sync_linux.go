package barefile

import (
	"os"

	"golang.org/x/sys/unix"
)

// datasync waits until the data of f, and what is needed to find it, is on disk.
func datasync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
