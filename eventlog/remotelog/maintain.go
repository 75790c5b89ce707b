package remotelog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/rollforward/rollforward/eventlog/pebblelog"
)

// A maintainer is a store that can be looked after while others use it.
type maintainer interface {
	Stats() (pebblelog.Stats, error)
	Backup(ctx context.Context, dir string) error
}

var errNoMaintenance = errors.New("only who shares a directory can do this")

// maintain does what only the owner of the directory can do.
func maintain(ctx context.Context, store maintainer, k kind, to string) ([]byte, error) {
	if k == askBackup {
		return nil, store.Backup(ctx, to)
	}
	st, err := store.Stats()
	if err != nil {
		return nil, err
	}
	return json.Marshal(st)
}

// Stats says what the log takes of the machine, as who owns the directory knows.
func (l *Log) Stats(ctx context.Context) (s pebblelog.Stats, err error) {
	err = l.again(ctx, func(p place) error {
		v, err := p.maintain(ctx, askStats, "")
		if err != nil {
			return err
		}
		return json.Unmarshal(v, &s)
	})
	return s, wrap(err)
}

// Backup makes a consistent copy of the log in dir, which must not exist, as
// pebblelog's Backup does. Whoever owns the directory makes it, with its rights;
// when the owner goes away meanwhile the error says so, and there is no copy.
func (l *Log) Backup(ctx context.Context, dir string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return wrap(fmt.Errorf("backup to %s: %w", dir, err))
	}
	p, err := l.place(ctx)
	if err != nil {
		return wrap(err)
	}
	_, err = p.maintain(ctx, askBackup, abs)
	return wrap(err)
}
