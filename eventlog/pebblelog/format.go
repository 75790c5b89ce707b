package pebblelog

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// formatVersion is the version of the rows and of the engine's files. Files of
// a higher one are refused.
const formatVersion = 1

// formatFile marks a directory as an event log. It is the first file of a new
// log, and the last of a backup. It is read before the engine touches anything:
// the engine would upgrade a directory that is not ours.
const (
	formatFile = "EVENTLOG"
	formatText = "rollforward pebblelog format %d\n"
)

// A FormatError says that a directory was written by a newer version.
type FormatError struct {
	Dir          string
	Found, Known int
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("%s has format %d, this program knows formats up to %d", e.Dir, e.Found, e.Known)
}

// ErrForeign says that a directory holds something that is not an event log.
var ErrForeign = errors.New("not an event log")

// readFormat reads the format of a directory. A missing file is fs.ErrNotExist.
func readFormat(fsys vfs.FS, dir string) error {
	text, err := readFile(fsys, fsys.PathJoin(dir, formatFile))
	if err != nil {
		return err
	}
	var v int
	if n, err := fmt.Sscanf(text, formatText, &v); n != 1 || err != nil {
		return fmt.Errorf("%s: %w: %s reads %.60q", dir, ErrForeign, formatFile, text)
	}
	if v > formatVersion {
		return &FormatError{Dir: dir, Found: v, Known: formatVersion}
	}
	return nil
}

// writeFormat marks dir as an event log.
func writeFormat(fsys vfs.FS, dir string) error {
	return replaceFile(fsys, dir, formatFile, fmt.Sprintf(formatText, formatVersion))
}

func syncDir(fsys vfs.FS, dir string) error {
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// ours lists the files that an empty directory may hold all the same.
var ours = map[string]bool{"LOCK": true, ownerFile: true, probeFile: true, formatFile + tmpSuffix: true, "lost+found": true}

// claim makes an empty directory an event log.
func claim(fsys vfs.FS, dir string) error {
	if err := checkEmpty(fsys, dir); err != nil {
		return err
	}
	return writeFormat(fsys, dir)
}

// checkEmpty refuses a directory, which is not marked as a log, when it holds
// something else.
func checkEmpty(fsys vfs.FS, dir string) error {
	names, err := fsys.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !ours[name] {
			return fmt.Errorf("%s: %w: it holds %q and no %s", dir, ErrForeign, name, formatFile)
		}
	}
	return nil
}

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
