package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
	"github.com/rollforward/rollforward/eventlog/remotelog"
	"github.com/rollforward/rollforward/internal/openly"
)

const (
	lowSpace  = 1 << 30   // bytes
	mustSpace = 256 << 20 // about where the store begins to refuse writes
)

// Directory examines the embedded log in a directory: whether there is one, who holds it
// and whether that process shares it, whether this program knows its format, how much
// space is left, and then what Log examines. It looks through the process that shares the
// directory where there is one.
func Directory(ctx context.Context, dir string) (r Report) {
	d, err := remotelog.Open(ctx, dir, &remotelog.Options{ReadOnly: true, Store: pebblelog.Options{MustExist: true}})
	if err != nil {
		r.refused(err)
		r.guarded(dir)
		return r
	}
	r.shared(d.Dir())
	r.guarded(d.Dir())
	r.space(ctx, d)
	l, err := eventlog.Open(ctx, d, nil)
	if err != nil {
		r.Manifest(err)
		return append(r, closed(d.Close())...)
	}
	r = append(r, Log(ctx, l)...)
	return append(r, closed(l.Close())...)
}

// shared says who has a directory that this process has joined, or got.
func (r *Report) shared(dir string) {
	switch h := holder(dir); {
	case h == nil:
		r.Add("directory", Good, "", "%s can be opened, and nobody else holds it", dir)
	case h.PID == 0: // a full disk, maybe: then it may be this one
		r.Add("directory", Good, "", "%s can be opened; which process has it is not known", dir)
	default:
		r.Add("directory", Good, "", "%s can be opened: process %d on %s has it since %s and shares it: %s", dir, h.PID, h.Host, h.Since.Format(time.RFC3339), h.Command)
	}
}

// guarded warns of a directory that anybody may write in.
func (r *Report) guarded(dir string) {
	if open, err := openly.Writable(dir); err == nil && open {
		r.Add("permissions", Warning, "take that right away from others (chmod o-w) and start anew what has it open",
			"everybody may write in %s: no process shares it with others, and anybody can damage it", dir)
	}
}

// holder returns what another process that has a directory says of itself, nil where
// it is this one that has it.
func holder(dir string) *pebblelog.HeldError {
	// Sharing: if it is free by now, nobody is refused because of this look.
	d, err := pebblelog.Open(dir, &pebblelog.Options{MustExist: true, ReadOnly: true, Sharing: true})
	if err == nil {
		_ = d.Close() // nothing was written
	}
	var held *pebblelog.HeldError
	host, _ := os.Hostname()
	if !errors.As(err, &held) || held.PID == os.Getpid() && held.Host == host {
		return nil
	}
	return held
}

// refused says why a directory cannot be opened.
func (r *Report) refused(err error) {
	var held *pebblelog.HeldError
	var newer *pebblelog.FormatError
	level, do := Bad, "if nothing else helps, restore a backup"
	switch {
	case errors.As(err, &held):
		level, do = Warning, "stop that process, or look from inside of it"
		switch {
		case held.Sharing:
			do = "that process shares the directory, but does not let this one in: be the same user with the same version of the program, or stop it"
		case held.PID != 0:
			err, do = held, "that process does not share the directory: stop it, or look from inside of it"
		}
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

func (r *Report) space(ctx context.Context, d *remotelog.Log) {
	const do = "make space on this file system; writes are refused before it is used up, and nothing is lost"
	s, err := d.Stats(ctx)
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
