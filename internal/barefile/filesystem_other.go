//go:build !linux

package barefile

import (
	"fmt"
	"os"
)

// FileSystem returns "unknown": it is told on Linux only.
func FileSystem(dir string) (name string, tmpfs bool, err error) {
	if _, err := os.Stat(dir); err != nil {
		return "", false, fmt.Errorf("barefile: file system of %s: %w", dir, err)
	}
	return "unknown", false, nil
}
