package datastorelog

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// projectEnv names the project where none is given.
const projectEnv = "GOOGLE_CLOUD_PROJECT"

// Scheme is that of the URLs of logs on Datastore.
const Scheme = "datastore"

// ParseURL reads datastore://PROJECT/DATABASE?namespace=N&kind=K&emulator=HOST:PORT into
// what Open takes. Every part may be missing: datastore:// alone is the default
// database of $GOOGLE_CLOUD_PROJECT. o gives all other options and is not
// changed.
func ParseURL(text string, o *Options) (project string, opts *Options, err error) {
	opts = new(Options)
	if o != nil {
		*opts = *o
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", nil, fmt.Errorf("datastorelog: %w", err)
	}
	database := strings.Trim(u.Path, "/")
	switch {
	case u.Scheme != Scheme, u.Opaque != "", u.User != nil, u.Fragment != "", u.Port() != "":
		return "", nil, fmt.Errorf("datastorelog: %q is not datastore://PROJECT/DATABASE?namespace=…", text)
	case strings.Contains(database, "/"):
		return "", nil, fmt.Errorf("datastorelog: %q: a database has no /", text)
	case database != "" && database != "(default)":
		opts.Database = database
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", nil, fmt.Errorf("datastorelog: %q: %w", text, err)
	}
	for name, values := range query {
		field := map[string]*string{"namespace": &opts.Namespace, "kind": &opts.Kind, "emulator": &opts.Emulator}[name]
		if field == nil || len(values) != 1 {
			return "", nil, fmt.Errorf("datastorelog: %q: unknown or repeated parameter %q; there are namespace, kind and emulator", text, name)
		}
		*field = values[0]
	}
	return u.Host, opts, nil
}

// OpenURL is Open with what ParseURL reads.
func OpenURL(ctx context.Context, text string, o *Options) (*Log, error) {
	project, opts, err := ParseURL(text, o)
	if err != nil {
		return nil, err
	}
	return Open(ctx, project, opts)
}

// complete returns the project and the options that o and the environment come to.
func complete(project string, o *Options) (string, Options, error) {
	opts, err := o.withDefaults()
	if err == nil {
		project, err = projectOf(project, &opts)
	}
	return project, opts, err
}

// projectOf returns the project, by default that of the environment.
func projectOf(project string, o *Options) (string, error) {
	for _, p := range []string{project, os.Getenv(projectEnv), os.Getenv("DATASTORE_PROJECT_ID")} {
		if p != "" {
			return p, nil
		}
	}
	if o.Emulator != "" {
		return "emulated", nil
	}
	return "", errors.New("no project: name one, or set $" + projectEnv)
}

// Resolve returns the project and the emulator that Open would take, "" for the
// service, from the environment where neither project nor o names them.
func Resolve(project string, o *Options) (resolved, emulator string, err error) {
	resolved, opts, err := complete(project, o)
	if err != nil {
		return "", "", fmt.Errorf("datastorelog: %w", err)
	}
	return resolved, opts.Emulator, nil
}
