//go:build unix

package remotelog

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// checkOwned refuses what belongs neither to this user nor to the directory's.
func checkOwned(path string, info fs.FileInfo, dir string) error {
	log, err := os.Stat(dir)
	if err != nil {
		return err
	}
	is, ok1 := info.Sys().(*syscall.Stat_t)
	want, ok2 := log.Sys().(*syscall.Stat_t)
	if !ok1 || !ok2 || int(is.Uid) != os.Geteuid() && is.Uid != want.Uid {
		return fmt.Errorf("%s belongs to somebody else", path)
	}
	return nil
}
