package pebblelog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Backup makes a consistent copy of the log in dir, which must not exist, while
// writes go on. It holds every write acknowledged before the call, and of later
// ones a prefix in the order in which they were made. When Backup returns the
// copy is on disk, with the directory that names it.
//
// A backup is a log like any other: Open opens it. On the same file system its
// table files are hard links, which never change, so it costs little space at
// first; a backup against the loss of the disk belongs on another one.
//
// ctx is looked at before and after the copy, not during it. A backup that failed
// is removed; one that a crash cut short cannot be opened.
func (l *Log) Backup(ctx context.Context, dir string) error {
	if err := l.enter(); err != nil {
		return fmt.Errorf("pebblelog: %w", err)
	}
	defer l.leave()
	if err := l.backup(ctx, dir); err != nil {
		return fmt.Errorf("pebblelog: backup of %s to %s: %w", l.dir, dir, err)
	}
	return nil
}

func (l *Log) backup(ctx context.Context, dir string) error {
	if l.opts.ReadOnly {
		return ErrReadOnly
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := l.failure.get(); err != nil {
		return err
	}
	if _, err := l.opts.FS.Stat(dir); err == nil {
		return fs.ErrExist
	}
	tails := l.heads.tails()
	err := l.checkpoint(dir)
	if err == nil {
		err = trimLogs(l.opts.FS, dir)
	}
	if err == nil {
		err = tails.write(l.opts.FS, dir)
	}
	if err == nil {
		err = l.seal(ctx, dir)
	}
	if err != nil {
		err = errors.Join(err, l.opts.FS.RemoveAll(dir))
	}
	return err
}

// checkpoint makes a copy with the engine, which panics when it cannot sync the
// new directory.
func (l *Log) checkpoint(dir string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
			if e, ok := p.(error); ok {
				err = e
			}
		}
	}()
	return l.db.Checkpoint(dir)
}

// seal marks a copy as whole. The copy may hold a write that is not durable in
// the log itself yet: one more sync of the log makes it so.
func (l *Log) seal(ctx context.Context, dir string) error {
	err := l.db.LogData(nil, pebble.Sync)
	if err = errors.Join(err, l.failure.get(), ctx.Err()); err != nil {
		return err
	}
	return writeFormat(l.opts.FS, dir)
}

// Restore makes a log in the directory to, which must not exist, of the backup in
// from. It reads all of the backup first, so a damaged one is an error and no
// log. The two share no files afterwards.
//
// A backup can be opened directly too; Restore is for one that is to be kept.
// o gives the file system; nil is the operating system's.
func Restore(ctx context.Context, from, to string, o *Options) error {
	if err := restore(ctx, from, to, o); err != nil {
		return fmt.Errorf("pebblelog: restore %s to %s: %w", from, to, err)
	}
	return nil
}

func restore(ctx context.Context, from, to string, o *Options) error {
	opts, err := o.withDefaults()
	if err != nil {
		return err
	}
	opts.ReadOnly, opts.MustExist = true, true
	if _, err := opts.FS.Stat(to); err == nil {
		return fmt.Errorf("%s: %w", to, fs.ErrExist)
	}
	l, err := open(from, opts)
	if err != nil {
		return err
	}
	err = l.verify(ctx)
	if err == nil {
		if err = copyLog(ctx, opts.FS, l.dir, to); err != nil {
			err = errors.Join(err, opts.FS.RemoveAll(to))
		}
	}
	return errors.Join(err, l.Close())
}

// verify reads every row, and with it every block, of which the engine checks
// the checksums.
func (l *Log) verify(ctx context.Context) error {
	it, err := l.db.NewIter(nil)
	if err != nil {
		return readError(err)
	}
	defer it.Close()
	for ok, n := it.First(), 0; ok; ok, n = it.Next(), n+1 {
		if _, err := it.ValueAndErr(); err != nil {
			return readError(err)
		}
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return readError(it.Error())
}

// copyLog copies the files of a log that is held, its format last.
func copyLog(ctx context.Context, fsys vfs.FS, from, to string) error {
	names, err := fsys.List(from)
	if err != nil {
		return err
	}
	if err := makeDir(fsys, to); err != nil {
		return err
	}
	for _, name := range names {
		if ours[name] || name == formatFile {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := copyFile(fsys, fsys.PathJoin(from, name), fsys.PathJoin(to, name), math.MaxInt64); err != nil {
			return err
		}
	}
	return writeFormat(fsys, to)
}

// copyFile copies the first n bytes of a file, or all of it, and syncs the copy.
func copyFile(fsys vfs.FS, from, to string, n int64) error {
	r, err := fsys.Open(from, vfs.SequentialReadsOption)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := fsys.Create(to, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, io.LimitReader(r, n))
	return errors.Join(err, w.Sync(), w.Close())
}
