package bench

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// names of file systems by their magic numbers.
var names = map[int64]string{
	unix.BTRFS_SUPER_MAGIC: "btrfs", unix.EXT4_SUPER_MAGIC: "ext4", unix.F2FS_SUPER_MAGIC: "f2fs",
	unix.FUSE_SUPER_MAGIC: "fuse", unix.NFS_SUPER_MAGIC: "nfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs",
	unix.RAMFS_MAGIC: "ramfs", unix.TMPFS_MAGIC: "tmpfs", unix.XFS_SUPER_MAGIC: "xfs", 0x2fc12fc1: "zfs",
}

// fileSystem returns the name of the file system that dir is on. One that is
// memory is an error: a sync costs nothing there.
func fileSystem(dir string) (string, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return "", fmt.Errorf("%s: %w", dir, err)
	}
	name, ok := names[int64(s.Type)]
	if !ok {
		name = fmt.Sprintf("%#x", s.Type)
	}
	if name == "tmpfs" || name == "ramfs" {
		return "", fmt.Errorf("%s is on %s, which is memory: name a directory on a disk", dir, name)
	}
	return name, nil
}

// cpuTime is what this process has used so far.
func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// maxRSS is the most memory that this process had resident.
func maxRSS() int64 {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return int64(u.Maxrss) * 1024
}
