package cli

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
	"github.com/rollforward/rollforward/eventlog/remotelog"
)

// logVariable names the log where --log does not.
const logVariable = "EVENTLOG_LOG"

// A Store is the flag that says which log a command works on.
type Store struct{ dir string }

// AddFlag adds --log to cmd and the commands below it.
func (s *Store) AddFlag(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVar(&s.dir, "log", "", "`directory` of the log (default: the variable "+logVariable+")")
	_ = cmd.MarkPersistentFlagDirname("log") // the flag is there
}

// Dir returns the directory; without one the error is misuse.
func (s *Store) Dir() (string, error) {
	if s.dir != "" {
		return s.dir, nil
	}
	if dir := os.Getenv(logVariable); dir != "" {
		return dir, nil
	}
	return "", Usage("no log is named: use --log DIR or the variable %s", logVariable)
}

// Access is what a command wants with a log.
type Access int

const (
	Read   Access = iota // the log must exist; its files stay as they are
	Write                // the log must exist
	Create               // the log is made where there is none
)

// OpenDriver opens the store of the log, and shares it with whatever command has
// it open already.
func (s *Store) OpenDriver(ctx context.Context, a Access) (*remotelog.Log, error) {
	dir, err := s.Dir()
	if err != nil {
		return nil, err
	}
	return remotelog.Open(ctx, dir, &remotelog.Options{ReadOnly: a == Read, Store: pebblelog.Options{MustExist: a != Create}})
}

// Open opens the log. Whoever opens it closes it.
func (s *Store) Open(ctx context.Context, a Access, o *eventlog.Options) (*eventlog.Log, error) {
	d, err := s.OpenDriver(ctx, a)
	if err != nil {
		return nil, err
	}
	l, err := eventlog.Open(ctx, d, o)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return l, nil
}
