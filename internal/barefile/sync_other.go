//go:build !linux

package barefile

import "os"

// datasync waits until f is on disk.
func datasync(f *os.File) error { return f.Sync() }
