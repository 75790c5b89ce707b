package barefile

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// fileSystems are the names of what logs are usually kept on.
var fileSystems = map[int64]string{
	unix.EXT4_SUPER_MAGIC:      "ext4", // ext2 and ext3 have the same number
	unix.XFS_SUPER_MAGIC:       "xfs",
	unix.BTRFS_SUPER_MAGIC:     "btrfs",
	unix.OVERLAYFS_SUPER_MAGIC: "overlayfs",
	unix.TMPFS_MAGIC:           "tmpfs",
	unix.RAMFS_MAGIC:           "ramfs",
	unix.NFS_SUPER_MAGIC:       "nfs",
	unix.F2FS_SUPER_MAGIC:      "f2fs",
	unix.FUSE_SUPER_MAGIC:      "fuse",
	unix.V9FS_MAGIC:            "9p",
	unix.MSDOS_SUPER_MAGIC:     "vfat",
	0x2fc12fc1:                 "zfs",
}

// FileSystem returns the name of the file system that dir is on, a number where
// it has no name here, and whether it is one in memory, where a sync means
// nothing.
func FileSystem(dir string) (name string, tmpfs bool, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return "", false, fmt.Errorf("barefile: file system of %s: %w", dir, err)
	}
	kind := int64(s.Type)
	name, ok := fileSystems[kind]
	if !ok {
		name = fmt.Sprintf("%#x", kind)
	}
	return name, kind == unix.TMPFS_MAGIC || kind == unix.RAMFS_MAGIC, nil
}
