package pebblelog

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// engineLogger passes the engine's messages on and turns its fatal ones into the
// failure of the directory.
type engineLogger struct {
	log     *slog.Logger
	failure *failure
	space   *space
	tables  *retry
	flushed func() // called after a flush, with the engine's lock held
}

func (l *engineLogger) Infof(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("pebblelog: engine", "message", fmt.Sprintf(format, args...))
	}
}

func (l *engineLogger) Errorf(format string, args ...any) {
	l.log.Error("pebblelog: engine", "message", fmt.Sprintf(format, args...))
}

// Fatalf is called where the engine cannot go on. The default ends the process;
// here it ends the directory. The engine's own goroutines must not return from
// it, so they end, which runs their deferred unlocks. Two callers are not of the
// engine's own: a commit, which returns to the committer, and Open, which runs
// in a goroutine for this reason.
func (l *engineLogger) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	l.failure.set(fatalError{err})
	l.Errorf("%v", err)
	if strings.HasPrefix(format, "pebble: fatal commit error") {
		return
	}
	runtime.Goexit()
}

// A fatalError is one the engine could not handle; it may never close.
type fatalError struct{ error }

func (e fatalError) Unwrap() error { return e.error }

// events logs what an operator wants to know. Corruption is reported where it
// was read; the default listener would call Fatalf.
func (l *engineLogger) events() *pebble.EventListener {
	e := &pebble.EventListener{
		BackgroundError: func(err error) {
			l.tables.failed()
			l.space.background(err)
			l.log.Error("pebblelog: background error", "error", err)
		},
		FlushEnd: func(i pebble.FlushInfo) {
			l.space.flushed(i.Err)
			if i.Err == nil {
				l.flushed()
			}
			l.log.Debug("pebblelog: flushed", "info", i)
		},
		CompactionEnd: func(i pebble.CompactionInfo) { l.log.Debug("pebblelog: compacted", "info", i) },
		DataCorruption: func(i pebble.DataCorruptionInfo) {
			l.log.Error("pebblelog: corrupt file", "path", i.Path, "error", i.Details)
		},
		WriteStallBegin: func(i pebble.WriteStallBeginInfo) {
			l.log.Warn("pebblelog: writes wait for compactions", "reason", i.Reason)
		},
	}
	return e
}
