package remotelog

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rollforward/rollforward/eventlog/pebblelog"
)

// Open opens the event log in dir and shares it: with whoever opens it in the same
// way, in this process or another one on this machine. The first one owns the
// directory and serves the others; when it goes away, or dies, another one takes
// over within two seconds. Above it nobody notices.
//
// Errors are those of pebblelog.Open; its HeldError says that a program has the
// directory that does not share it.
func Open(ctx context.Context, dir string, o *Options) (*Log, error) {
	opts := o.withDefaults()
	if opts.Store.FS != nil && vfs.Root(opts.Store.FS) != vfs.Default {
		return nil, fmt.Errorf("remotelog: open %s: only a directory of the operating system can be shared", dir)
	}
	s := &shared{dir: dir, opts: opts}
	p, err := s.first(ctx)
	if err != nil {
		return nil, err
	}
	s.dir, s.opts.Store.MustExist = absolute(dir), true
	l := newLog(s.dir, opts, s.connect)
	l.dir = s.dir
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settle(p)
	return l, nil
}

// A shared directory is owned by this process, or by another one.
type shared struct {
	dir  string
	opts Options

	mu      sync.Mutex
	yielded time.Time // when this process, which only reads, made room for a writer
	failed  time.Time // when the directory has failed the last time
	rested  time.Duration
}

const (
	firstRest = 50 * time.Millisecond
	maxRest   = 5 * time.Second
	forgotten = time.Minute // is a failure after that
)

// longer is the rest after this one.
func longer(rest time.Duration) time.Duration { return min(max(2*rest, firstRest), maxRest) }

// rest says how long a directory that has failed is left alone: not at all the first
// time, and longer each time when it fails again and again.
func (s *shared) rest() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.failed) > forgotten {
		s.rested = 0
	} else {
		s.rested = longer(s.rested)
	}
	s.failed = time.Now()
	return s.rested
}

// startPatience is how long Open waits for somebody who has just got the directory,
// or is about to leave it.
const startPatience = 5 * time.Second

// first finds a place for the first time. It gives up at once where waiting is of
// no use.
func (s *shared) first(ctx context.Context) (place, error) {
	wait := &Log{ctx: ctx} // for its pause
	for begin, n := time.Now(), 0; ; n++ {
		p, err := s.connect(ctx)
		if err == nil || ctx.Err() != nil || !s.passing(err) || time.Since(begin) > startPatience {
			return p, err
		}
		wait.pause(ctx, n)
	}
}

// passing reports whether an error may be gone in a moment.
func (s *shared) passing(err error) bool {
	var held *pebblelog.HeldError
	var refused *refusedError
	switch {
	case errors.As(err, &refused):
		return !refused.permanent()
	case errors.As(err, &held):
		return (held.Sharing || held.PID == 0) && checkShareable(s.dir) == nil
	}
	return false
}

// connect makes one attempt: to get the directory, or else to reach who has it.
func (s *shared) connect(ctx context.Context) (place, error) {
	var p place
	var err error
	s.mu.Lock()
	yield := time.Since(s.yielded) < yieldFor
	s.mu.Unlock()
	if yield {
		if p, err = s.join(ctx); err == nil {
			return p, nil
		}
		return nil, err
	}
	if p, err = s.own(); !errors.Is(err, pebblelog.ErrHeld) {
		return p, err
	}
	p, joining := s.join(ctx)
	if joining == nil {
		return p, nil
	}
	if held := (*pebblelog.HeldError)(nil); errors.As(err, &held) && held.PID != 0 && !held.Sharing {
		return nil, fmt.Errorf("%w; it does not share the directory: %w", err, joining)
	}
	return nil, fmt.Errorf("%w; it cannot be reached: %w", err, joining)
}

// join reaches who has the directory.
func (s *shared) join(ctx context.Context) (place, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	if err := checkShareable(s.dir); err != nil {
		return nil, err
	}
	conn, err := dialSocket(ctx, s.dir)
	if err != nil {
		return nil, err
	}
	return handshake(ctx, conn, &url.URL{Scheme: "unix"}, s.opts)
}

// own gets the directory and serves it. Where nobody else can be let in the
// process has it alone.
func (s *shared) own() (place, error) {
	o := s.opts.Store
	o.ReadOnly = s.opts.ReadOnly
	unshared := checkShareable(s.dir)
	if errors.Is(unshared, os.ErrNotExist) {
		unshared = nil // it is made with good permissions
	}
	o.Sharing = unshared == nil
	store, err := pebblelog.Open(s.dir, &o)
	if err != nil {
		return nil, err
	}
	w := newOwner(store, s.opts)
	w.rest = s.rest
	w.handler.writer = func() {
		s.mu.Lock()
		s.yielded = time.Now()
		s.mu.Unlock()
		w.giveUp()
	}
	if unshared == nil {
		var at *socket
		if at, unshared = listen(store.Dir()); unshared == nil {
			w.serve(at)
		}
	}
	if unshared != nil {
		s.opts.Logger.Warn("remotelog: the directory cannot be shared", "dir", s.dir, "err", unshared)
	}
	return w, nil
}

// Dir returns the directory of a log that Open has opened, "" of any other.
func (l *Log) Dir() string { return l.dir }

// absolute is where a directory is, wherever the process goes.
func absolute(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return dir
}
