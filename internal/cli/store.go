package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"cloud.google.com/go/datastore"
	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/datastorelog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
	"github.com/rollforward/rollforward/eventlog/remotelog"
)

// logVariable names the log where --log does not.
const logVariable = "EVENTLOG_LOG"

// A Store is the flag that says which log a command works on: a directory, or
// datastore://PROJECT/DATABASE?namespace=NAMESPACE.
type Store struct {
	log string
	// Database, if not nil, is what Dial does: it puts what is kept beside the log in
	// another database than the log's.
	Database func(ctx context.Context) (client *datastore.Client, namespace string, err error)
}

// AddFlag adds --log to cmd and the commands below it.
func (s *Store) AddFlag(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVar(&s.log, "log", "", "`directory` of the log, or "+datastorelog.Scheme+"://PROJECT/DATABASE?namespace=NAMESPACE (default: the variable "+logVariable+")")
	_ = cmd.MarkPersistentFlagDirname("log") // the flag is there
}

// Name returns what names the log; without a name, or with the URL of something else, the
// error is misuse.
func (s *Store) Name() (string, error) {
	name := s.log
	if name == "" {
		name = os.Getenv(logVariable)
	}
	scheme, _, isURL := strings.Cut(name, "://")
	switch {
	case name == "":
		return "", Usage("no log is named: use --log DIR or the variable %s", logVariable)
	case isURL && scheme != datastorelog.Scheme && !strings.Contains(scheme, "/"):
		return "", Usage("--log (%s): %s is neither a directory nor %s://…", logVariable, name, datastorelog.Scheme)
	}
	return name, nil
}

// Dir returns the directory of the log. Without one the error is misuse.
func (s *Store) Dir() (string, error) {
	name, err := s.Name()
	if err == nil && inDatastore(name) {
		err = Usage("%s is not a directory, which this needs", name)
	}
	return name, err
}

// InDatastore reports whether the log is in Datastore.
func (s *Store) InDatastore() bool {
	name, err := s.Name()
	return err == nil && inDatastore(name)
}

func inDatastore(name string) bool { return strings.HasPrefix(name, datastorelog.Scheme+":") }

// Datastore returns where a log in Datastore is. An address that cannot be read is
// misuse.
func (s *Store) Datastore() (project string, o *datastorelog.Options, err error) {
	name, err := s.Name()
	if err == nil {
		if project, o, err = datastorelog.ParseURL(name, nil); err != nil {
			err = Usage("%w", err)
		}
	}
	return project, o, err
}

// HasDatabase reports whether Dial has a database to connect with.
func (s *Store) HasDatabase() bool { return s.Database != nil || s.InDatastore() }

// Dial connects with the database of a log in Datastore, for what is kept beside the log,
// and says in which namespace: that of the log, followed by its kind where it is not the
// default one, for the logs of a namespace have their kinds apart and nothing else.
func (s *Store) Dial(ctx context.Context) (client *datastore.Client, namespace string, err error) {
	if s.Database != nil {
		return s.Database(ctx)
	}
	project, o, err := s.Datastore()
	if err != nil {
		return nil, "", err
	}
	client, err = datastorelog.Dial(ctx, project, o)
	if namespace = o.Namespace; o.Kind != "" && o.Kind != datastorelog.DefaultKind {
		namespace = strings.TrimPrefix(namespace+"."+o.Kind, ".")
	}
	return client, namespace, err
}

// Access is what a command wants with a log.
type Access int

const (
	Read   Access = iota // the log must exist; it stays as it is
	Write                // the log must exist
	Create               // the log is made where there is none
)

// OpenDriver opens the store of the log.
func (s *Store) OpenDriver(ctx context.Context, a Access) (driver.Log, error) {
	d, err := s.openDriver(ctx, a)
	if err != nil && a != Create && errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w (who first appends to a log makes it)", err)
	}
	return d, err
}

func (s *Store) openDriver(ctx context.Context, a Access) (driver.Log, error) {
	if !s.InDatastore() {
		return s.OpenDirectory(ctx, a)
	}
	project, o, err := s.Datastore()
	if err != nil {
		return nil, err
	}
	o.MustExist = a != Create
	return datastorelog.Open(ctx, project, o)
}

// OpenDirectory opens the log in a directory, and shares it with whatever command has
// it open already.
func (s *Store) OpenDirectory(ctx context.Context, a Access) (*remotelog.Log, error) {
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
