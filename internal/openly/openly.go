// Package openly tells of directories in which everybody may write.
package openly

import "os"

// Writable reports whether everybody may write in a directory.
func Writable(dir string) (bool, error) {
	info, err := os.Stat(dir)
	return err == nil && info.Mode().Perm()&0o002 != 0, err
}
