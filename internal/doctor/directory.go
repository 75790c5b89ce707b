package doctor

import (
	"context"
	"errors"
	"io/fs"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
)

const (
	lowSpace  = 1 << 30   // bytes
	mustSpace = 256 << 20 // about where the store begins to refuse writes
)

// Directory examines the embedded log in a directory: whether there is one, who holds it,
// whether this program knows its format, how much space is left, and then what Log
// examines.
func Directory(ctx context.Context, dir string) (r Report) {
	d, err := pebblelog.Open(dir, &pebblelog.Options{MustExist: true, ReadOnly: true})
	if err != nil {
		r.refused(err)
		return r
	}
	r.Add("directory", Good, "", "%s can be opened, and nobody else holds it", d.Dir())
	r.space(d)
	l, err := eventlog.Open(ctx, d, nil)
	if err != nil {
		r.Manifest(err)
		return append(r, closed(d.Close())...)
	}
	r = append(r, Log(ctx, l)...)
	return append(r, closed(l.Close())...)
}

// refused says why a directory cannot be opened.
func (r *Report) refused(err error) {
	var held *pebblelog.HeldError
	var newer *pebblelog.FormatError
	level, do := Bad, "if nothing else helps, restore a backup"
	switch {
	case errors.As(err, &held):
		level, do = Warning, "a directory belongs to one process at a time: stop that one, or look from inside of it"
	case errors.As(err, &newer):
		do = "use a newer version of this program"
	case errors.Is(err, pebblelog.ErrForeign):
		do = "name another directory; this one is left as it is"
	case errors.Is(err, fs.ErrNotExist):
		do = "check the name; a program that may create the log makes the directory itself"
	case errors.Is(err, fs.ErrPermission):
		do = "run as the owner of the directory, or give this user the right to read and write in it"
	case errors.Is(err, driver.ErrDiskFull):
		do = "make space on this file system"
	}
	r.Add("directory", level, do, "%v", err)
}

func (r *Report) space(d *pebblelog.Log) {
	const do = "make space on this file system; writes are refused before it is used up, and nothing is lost"
	s, err := d.Stats()
	mib := s.FreeBytes >> 20
	switch {
	case err != nil || s.FreeBytes == 0:
		r.Add("space", Unknown, "", "the file system does not tell how much is free")
	case s.FreeBytes < mustSpace:
		r.Add("space", Bad, do, "%d MiB are free", mib)
	case s.FreeBytes < lowSpace:
		r.Add("space", Warning, do, "%d MiB are free", mib)
	default:
		r.Add("space", Good, "", "%d MiB are free", mib)
	}
}

func closed(err error) (r Report) {
	if err != nil {
		r.Add("closing", Warning, "", "%v", err)
	}
	return r
}
