package projector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	_ "modernc.org/sqlite" // the driver of OpenSQLite

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/internal/daemon"
	"github.com/rollforward/rollforward/internal/notify"
	"github.com/rollforward/rollforward/projection/datastoresink"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

// A site is where a command works: its log and its read model.
type site struct {
	Options
	store  cli.Store
	notify notify.Flag  // of run
	daemon daemon.Flags // of run
	db     string
	poll   time.Duration // of run; 0: that of the options
}

func (s *site) addFlags(cmd *cobra.Command) {
	s.store.AddFlag(cmd)
	cmd.PersistentFlags().StringVar(&s.db, "db", "", "`file` of the read model (default: the variable "+dbVariable+", else "+s.file("DIR")+", or Datastore where the log is there)")
	_ = cmd.MarkPersistentFlagFilename("db") // the flag is there
}

// addRunFlags adds the flags of run.
func (s *site) addRunFlags(cmd *cobra.Command) {
	s.notify.AddFlag(cmd)
	s.daemon.AddFlags(cmd)
	cmd.Flags().DurationVar(&s.poll, "poll", 0, "look for news of other processes every `time` when nothing wakes it (0: every second, or as the program says)")
	_ = cmd.RegisterFlagCompletionFunc("poll", cobra.NoFileCompletions) // the flag is there
}

const (
	name       = "readmodel.db"
	dbVariable = "EVENTLOG_DB"
)

// file returns where the read model of the log in dir is by default.
func (o *Options) file(dir string) string {
	if o.DB != nil {
		return o.DB(dir)
	}
	return filepath.Join(dir, name)
}

// path returns the file of the read model.
func (s *site) path() (string, error) {
	if s.db != "" {
		return s.db, nil
	}
	if db := os.Getenv(dbVariable); db != "" {
		return db, nil
	}
	dir, err := s.store.Dir()
	if err != nil {
		return "", err
	}
	return s.file(dir), nil
}

// open opens the log, for reading, and the read model. mustExist refuses a read
// model that is not there.
func (s *site) open(ctx context.Context, mustExist bool, logger *slog.Logger) (*model, error) {
	o := eventlog.Options{}
	if s.Log != nil {
		o = *s.Log
	}
	if s.poll < 0 {
		return nil, cli.Usage("--poll is %v: it must be positive", s.poll)
	}
	o.Poll = cmp.Or(s.poll, o.Poll)
	log, err := s.store.Open(ctx, cli.Read, &o)
	if err != nil {
		return nil, err
	}
	m, err := s.openModel(ctx, log, mustExist, logger)
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	closing := m.close
	m.close = func() error { return errors.Join(closing(), log.Close()) }
	return m, nil
}

// openModel opens the read model: in Datastore beside a log that is there, unless a file
// is named. Without a log it can only be asked what it holds.
func (s *site) openModel(ctx context.Context, log *eventlog.Log, mustExist bool, logger *slog.Logger) (*model, error) {
	if s.inDatastore() {
		return s.openDatastore(ctx, log, logger)
	}
	return s.openSQLite(ctx, log, mustExist, logger)
}

// warnings returns a logger for commands that show their result.
func warnings(cmd *cobra.Command) *slog.Logger {
	return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func (s *site) openSQLite(ctx context.Context, log *eventlog.Log, mustExist bool, logger *slog.Logger) (*model, error) {
	path, err := s.path()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); mustExist && errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no read model yet: %w", err)
	}
	sink, err := sqlsink.OpenSQLite(ctx, path)
	if err != nil {
		return nil, err
	}
	r := &sqlsink.Runner{Log: log, Sink: sink, Projections: s.Projections, Logger: logger}
	return newModel(r, func(context.Context) (int, error) { return 0, nil }, sink.Close), nil
}

func (s *site) openDatastore(ctx context.Context, log *eventlog.Log, logger *slog.Logger) (*model, error) {
	client, namespace, err := s.store.Dial(ctx)
	if err != nil {
		return nil, err
	}
	sink, err := datastoresink.New(client, &datastoresink.Options{Namespace: namespace})
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	r := &datastoresink.Runner{Log: log, Sink: sink, Projections: s.Datastore, Logger: logger}
	return newModel(r, sink.Clear, client.Close), nil
}

// inDatastore reports whether the read model is in Datastore.
func (s *site) inDatastore() bool {
	return s.store.HasDatabase() && s.db == "" && os.Getenv(dbVariable) == ""
}

// A declared is what is known of a projection without a store.
type declared struct {
	name    string
	version int
}

// projections returns those of the read model that is worked with.
func (s *site) projections() (out []declared) {
	if s.inDatastore() {
		for _, p := range s.Datastore {
			out = append(out, declared{p.Name, p.Version})
		}
		return out
	}
	for _, p := range s.Projections {
		out = append(out, declared{p.Name, p.Version})
	}
	return out
}

// names returns what the projections are called.
func (s *site) names() []string {
	var out []string
	for _, p := range s.projections() {
		out = append(out, p.name)
	}
	return out
}

// known refuses names that no projection has.
func (s *site) known(names []string) error {
	for _, n := range names {
		if !slices.Contains(s.names(), n) {
			return cli.Usage("unknown projection %q; there are: %s", n, strings.Join(s.names(), ", "))
		}
	}
	return nil
}

// complete offers the names of projections.
func (s *site) complete(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return s.names(), cobra.ShellCompDirectiveNoFileComp
}
