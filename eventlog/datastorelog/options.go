package datastorelog

import (
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/api/option"
)

// Options of a log. nil and zero values are the documented defaults.
type Options struct {
	// Database is the named database; empty: the default one.
	Database string
	// Namespace keeps tenants apart: each has logs of its own.
	Namespace string
	// Kind is what the kinds of the log's entities begin with, so that a database
	// takes several logs: KindLog, KindBlock, KindCell. Default: Rollforward.
	Kind string
	// Emulator is the address (host:port) of an emulator. Default:
	// $DATASTORE_EMULATOR_HOST; without one it is the service.
	Emulator string
	// MustExist makes Open fail with an error that wraps fs.ErrNotExist where there is no
	// log, instead of making one.
	MustExist bool
	// Timeout bounds each call to the service (10 s). A Write or a read makes
	// several, each of them also bounded by ctx.
	Timeout time.Duration
	// RampUp says whether new logs begin slowly, as the service asks for.
	RampUp RampUp
	// ClientOptions are for the connection: credentials, an interceptor, a pool.
	ClientOptions []option.ClientOption
	// Hooks observe the log, for metrics and tests.
	Hooks Hooks
}

// DefaultKind is the default of Options.Kind.
const DefaultKind = "Rollforward"

const (
	defaultTimeout = 10 * time.Second
	emulatorEnv    = "DATASTORE_EMULATOR_HOST"
)

func (o *Options) withDefaults() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Kind == "" {
		out.Kind = DefaultKind
	}
	if out.Timeout == 0 {
		out.Timeout = defaultTimeout
	}
	if out.Emulator == "" {
		out.Emulator = os.Getenv(emulatorEnv)
	}
	out.Emulator = strings.TrimPrefix(out.Emulator, "http://")
	switch {
	case out.Timeout < 0:
		return out, fmt.Errorf("option Timeout is %s", out.Timeout)
	case out.RampUp > RampUpOff:
		return out, fmt.Errorf("unknown option RampUp %d", out.RampUp)
	case len(out.Kind) > 200 || strings.HasPrefix(out.Kind, "__"):
		return out, fmt.Errorf("option Kind %.40q: at most 200 bytes, not __ at the start", out.Kind)
	}
	return out, nil
}

// kinds of a log's entities.
type kinds struct{ log, block, cell string }

func (o *Options) kinds() kinds { return kinds{o.Kind + "Log", o.Kind + "Block", o.Kind + "Cell"} }
