package datastorelog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"sync"
	"time"

	"cloud.google.com/go/datastore"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A Log is a driver.Log on Google Cloud Datastore. Any number of them, in any
// number of processes, may stand on one log.
type Log struct {
	client *datastore.Client
	opts   Options
	kinds  kinds
	name   string // for errors
	self   process
	heads  heads
	ends   ends
	turns  turns
	ramp   *ramp

	blockSize, cellSize mean // of what was read lately: how much goes into a page

	gate  sync.RWMutex    // a Write holds it for reading
	alive context.Context // ends with Close
	end   context.CancelFunc
	work  rest
}

// Open opens the log of a project, and creates it when there is none, unless o says
// MustExist. An empty
// project is $GOOGLE_CLOUD_PROJECT. Open asks the service once, so that it fails
// where nothing would work; Close releases the connection.
func Open(ctx context.Context, project string, o *Options) (*Log, error) {
	l, err := open(ctx, project, o)
	if err != nil {
		return nil, fmt.Errorf("datastorelog: open: %w", err)
	}
	return l, nil
}

func open(ctx context.Context, project string, o *Options) (*Log, error) {
	project, opts, err := complete(project, o)
	if err != nil {
		return nil, err
	}
	l := &Log{opts: opts, kinds: opts.kinds(), name: project + "/" + opts.Database, blockSize: 8 << 10, cellSize: 1 << 10}
	if l.client, err = dial(ctx, project, &l.opts); err != nil {
		return nil, err
	}
	_, _ = rand.Read(l.self[:])
	l.alive, l.end = context.WithCancel(context.WithoutCancel(ctx))
	if err := l.identify(ctx); err != nil {
		l.end()
		_ = l.client.Close()
		return nil, fmt.Errorf("%s: %w", l.name, err)
	}
	return l, nil
}

// Client returns the connection of the log, for reads of the user's own entities
// in the same database. It ends with the log.
func (l *Log) Client() *datastore.Client { return l.client }

// Exclusive reports false: other processes may write.
func (l *Log) Exclusive() bool { return false }

// Watch yields nothing: the store does not tell of other writers. Followers poll,
// or are woken by a notifier.
func (l *Log) Watch(ctx context.Context) iter.Seq2[driver.Head, error] {
	return func(yield func(driver.Head, error) bool) {
		if err := l.err(ctx); err != nil {
			yield(driver.Head{}, l.wrap(err))
		}
	}
}

// Close waits for Writes under way and releases the connection. Every later call
// returns driver.ErrClosed.
func (l *Log) Close() error {
	l.gate.Lock()
	if l.alive.Err() != nil {
		l.gate.Unlock()
		return l.wrap(driver.ErrClosed)
	}
	l.end()
	l.gate.Unlock()
	l.work.close()
	if err := l.client.Close(); err != nil {
		return l.wrap(err)
	}
	return nil
}

// enter lets a Write in; leave must follow. It does not wait.
func (l *Log) enter(ctx context.Context) error {
	if !l.gate.TryRLock() { // Close waits for the Writes before
		return driver.ErrClosed
	}
	if err := l.err(ctx); err != nil {
		l.gate.RUnlock()
		return err
	}
	return nil
}

func (l *Log) leave() { l.gate.RUnlock() }

// err returns what keeps a call from going on.
func (l *Log) err(ctx context.Context) error {
	if l.alive.Err() != nil {
		return driver.ErrClosed
	}
	return ctx.Err()
}

// calling returns a ctx for calls to the service that ends with the log, too.
func (l *Log) calling(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(l.alive, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// cause returns what a failed call failed with: the end of the log or of the
// caller's ctx where that is why.
func (l *Log) cause(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ended := l.err(ctx); ended != nil {
		return ended
	}
	return err
}

// wrap names the log in an error that leaves the package.
func (l *Log) wrap(err error) error {
	if err == nil {
		return nil
	}
	var tail *driver.TailError
	var cell *driver.CellError
	if errors.As(err, &tail) || errors.As(err, &cell) {
		return err
	}
	return fmt.Errorf("datastorelog: %s: %w", l.name, err)
}

func (l *Log) blockKey(shard int, number uint64) *datastore.Key {
	return &datastore.Key{Kind: l.kinds.block, Name: blockName(shard, number), Namespace: l.opts.Namespace}
}

func (l *Log) cellKey(key string) *datastore.Key {
	return &datastore.Key{Kind: l.kinds.cell, Name: cellName(key), Namespace: l.opts.Namespace}
}

// identity is the one entity of kind KindLog.
type identity struct {
	Format  int64     `datastore:"format,noindex"`
	Created time.Time `datastore:"created,noindex"`
}

// logFormat is the version of the entities. Logs of a higher one are refused.
const logFormat = 1

// A FormatError says that a log was written by a newer version.
type FormatError struct{ Found, Known int }

func (e *FormatError) Error() string {
	return fmt.Sprintf("the log has format %d, this program knows formats up to %d", e.Found, e.Known)
}

// identify reads the log's format and age, and makes a new log.
func (l *Log) identify(ctx context.Context) error {
	key := &datastore.Key{Kind: l.kinds.log, Name: "log", Namespace: l.opts.Namespace}
	id := identity{Format: logFormat, Created: time.Now().UTC().Truncate(time.Microsecond)}
	for {
		var found identity
		err := l.client.Get(ctx, key, &found)
		if errors.Is(err, datastore.ErrNoSuchEntity) && l.opts.MustExist {
			return fmt.Errorf("there is no log of kind %s in namespace %q: %w", l.opts.Kind, l.opts.Namespace, fs.ErrNotExist)
		}
		if errors.Is(err, datastore.ErrNoSuchEntity) {
			if _, err = l.client.Mutate(ctx, datastore.NewInsert(key, &id)); exists(err) {
				continue // another process was faster
			}
			found = id
		}
		if err != nil {
			return l.cause(ctx, unreachable(err))
		}
		if found.Format > logFormat {
			return &FormatError{Found: int(found.Format), Known: logFormat}
		}
		l.ramp = newRamp(&l.opts, found.Created)
		return nil
	}
}
