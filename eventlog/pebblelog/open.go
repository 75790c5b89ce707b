package pebblelog

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// Open opens the event log in dir and holds it until Close. Where there is none
// it makes one, with the directory and its parents, unless o says MustExist.
//
// Errors: *HeldError when the directory is open elsewhere, *FormatError when a
// newer version wrote it, ErrForeign when it holds something else, and
// fs.ErrNotExist, fs.ErrPermission and the like as the file system gives them.
func Open(dir string, o *Options) (*Log, error) {
	l, err := open(dir, o)
	if isDiskFull(err) {
		err = fmt.Errorf("%w: %w", driver.ErrDiskFull, err)
	}
	if err != nil {
		return nil, fmt.Errorf("pebblelog: open %w", err)
	}
	return l, nil
}

func open(dir string, o *Options) (*Log, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if dir, err = resolve(opts, dir); err != nil {
		return nil, err
	}
	lock, engineLock, err := hold(opts, dir)
	if err != nil {
		return nil, err
	}
	l, err := openHeld(dir, opts, engineLock)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	l.lock = lock
	return l, nil
}

// resolve makes the directory where it may, and returns its one true name: the
// lock is the process's, so two names of a directory must not pass for two
// directories.
func resolve(o *Options, dir string) (string, error) {
	info, err := o.FS.Stat(dir)
	switch {
	case err == nil && !info.IsDir():
		return "", fmt.Errorf("%s: it is a file, not a directory", dir)
	case err == nil:
		if err := checkMarked(o, dir); err != nil {
			return "", err
		}
	case isNotExist(err) && o.MustExist:
		return "", fmt.Errorf("%s: no such directory: %w", dir, fs.ErrNotExist)
	case isNotExist(err):
		if err := makeDir(o.FS, dir); err != nil {
			return "", fmt.Errorf("%s: %w", dir, err)
		}
	case err != nil:
		return "", fmt.Errorf("%s: %w", dir, err)
	}
	if vfs.Root(o.FS) != vfs.Default {
		return o.FS.PathDir(o.FS.PathJoin(dir, formatFile)), nil // as the engine will write it
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("%s: %w", dir, err)
	}
	return filepath.EvalSymlinks(abs)
}

// checkMarked refuses a directory that is no log and must not become one, before
// anything in it is touched, if only to lock it.
func checkMarked(o *Options, dir string) error {
	_, err := o.FS.Stat(o.FS.PathJoin(dir, formatFile))
	switch {
	case !isNotExist(err):
		return nil // whether it can be read is found out once the directory is held
	case o.MustExist:
		return fmt.Errorf("%s: no event log in this directory: %w", dir, fs.ErrNotExist)
	}
	err = checkEmpty(o.FS, dir)
	if _, marked := o.FS.Stat(o.FS.PathJoin(dir, formatFile)); marked == nil {
		return nil // somebody has just begun it
	}
	return err
}

// makeDir makes dir and its missing parents, and syncs the directories that
// name them.
func makeDir(fsys vfs.FS, dir string) error {
	var parents []string
	for p := dir; ; {
		up := fsys.PathDir(p)
		if up == p {
			break
		}
		parents = append(parents, up)
		if _, err := fsys.Stat(up); err == nil {
			break
		}
		p = up
	}
	if err := fsys.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, p := range parents {
		if err := syncDir(fsys, p); err != nil {
			return err
		}
	}
	return nil
}

var quiet = slog.New(slog.DiscardHandler)

// openHeld opens a directory that this process has locked.
func openHeld(dir string, o *Options, lock *pebble.Lock) (*Log, error) {
	err := readFormat(o.FS, dir)
	if isNotExist(err) && !o.ReadOnly {
		err = claim(o.FS, dir)
	}
	if err != nil {
		return nil, err
	}
	logger := o.Logger
	if logger == nil {
		logger = quiet
	}
	l := &Log{dir: dir, opts: o, log: logger.With("dir", dir), failure: newFailure(dir)}
	l.guard = newGuard(o.FS, dir, l.failure)
	l.space.fs, l.space.dir, l.space.reserve = o.FS, dir, o.Reserve
	if err := l.openEngine(lock); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, readError(err))
	}
	return l, nil
}

// openEngine opens the engine. Nothing that it thinks obsolete is removed before
// the log has been found whole.
func (l *Log) openEngine(lock *pebble.Lock) error {
	desc, err := pebble.Peek(l.dir, l.opts.FS)
	if err == nil && desc.Exists {
		err = checkFiles(l.opts.FS, l.dir, desc.ManifestFilename)
	}
	if err == nil {
		err = l.startEngine(lock)
	}
	if err != nil {
		return err
	}
	if err := l.checkEngine(); err != nil {
		l.failure.set(err)
		return errors.Join(err, l.db.Close())
	}
	return nil
}

// startEngine runs in a goroutine, for Fatalf ends it.
func (l *Log) startEngine(lock *pebble.Lock) (err error) {
	logger := &engineLogger{log: l.log, failure: l.failure, space: &l.space, tables: &l.guard.tables, flushed: l.flushed}
	opts := l.opts.engine(l.guard, logger, &l.nudge)
	opts.EventListener = logger.events()
	opts.Lock = lock
	opts.ErrorIfNotExists = l.opts.ReadOnly
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.db, err = pebble.Open(l.dir, opts)
	}()
	<-done
	if l.db == nil {
		return errors.Join(err, l.failure.get())
	}
	return nil
}

// checkEngine learns the tails and compares them with what they must be.
func (l *Log) checkEngine() error {
	if err := l.failure.get(); err != nil {
		return err
	}
	if err := l.heads.load(l.db); err != nil {
		return err
	}
	if err := l.checkTails(); err != nil {
		return err
	}
	return l.guard.opened()
}
