package remotelog_test

import (
	"net"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
	"github.com/rollforward/rollforward/eventlog/remotelog"
)

// serve serves a log on a loopback address until the test ends, and returns the
// URL.
func serve(t *testing.T, log driver.Log, o *remotelog.HandlerOptions) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := remotelog.NewHandler(log, o)
	s := &http.Server{Handler: h}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		_ = s.Close()
		_ = log.Close()
	})
	return "http://" + l.Addr().String()
}

func dial(t *testing.T, url string, o *remotelog.Options) *remotelog.Log {
	t.Helper()
	l, err := remotelog.Dial(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// TestDriver holds the promises of every driver over what is served.
func TestDriver(t *testing.T) {
	t.Parallel()
	drivertest.Run(t, func(t *testing.T) driver.Log { return dial(t, serve(t, memlog.Open(), nil), nil) })
	drivertest.Handles(t, func(t *testing.T) func(*testing.T) driver.Log {
		url := serve(t, memlog.NewStore().Open(), nil)
		return func(t *testing.T) driver.Log { return dial(t, url, nil) }
	})
}

// TestDriverOverPebble holds them where the log is a directory of this process.
func TestDriverOverPebble(t *testing.T) {
	t.Parallel()
	store := func(t *testing.T) driver.Log {
		l, err := pebblelog.Open(t.TempDir(), &pebblelog.Options{MemTableSize: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	drivertest.Run(t, func(t *testing.T) driver.Log { return dial(t, serve(t, store(t), nil), nil) })
	drivertest.Moves(t, func(t *testing.T) driver.Mover { return dial(t, serve(t, store(t), nil), nil) })
	drivertest.Handles(t, func(t *testing.T) func(*testing.T) driver.Log {
		url := serve(t, store(t), nil)
		return func(t *testing.T) driver.Log { return dial(t, url, nil) }
	})
}

func open(t *testing.T, dir string, o *remotelog.Options) *remotelog.Log {
	t.Helper()
	if o == nil {
		o = &remotelog.Options{}
	}
	o.Store.MemTableSize = 1 << 20
	l, err := remotelog.Open(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// TestDriverShared holds them for a shared directory: for who owns it, for a
// second one, and for several.
func TestDriverShared(t *testing.T) {
	t.Parallel()
	t.Run("Owner", func(t *testing.T) {
		t.Parallel()
		drivertest.Run(t, func(t *testing.T) driver.Log { return open(t, t.TempDir(), nil) })
	})
	t.Run("OwnerBesideOthers", func(t *testing.T) { // alone it remembers nothing for others
		t.Parallel()
		drivertest.Moves(t, func(t *testing.T) driver.Mover {
			dir := filepath.Join(t.TempDir(), "log")
			owner := open(t, dir, nil)
			open(t, dir, nil)
			return owner
		})
	})
	t.Run("Second", func(t *testing.T) {
		t.Parallel()
		drivertest.Run(t, func(t *testing.T) driver.Log {
			dir := filepath.Join(t.TempDir(), "log")
			open(t, dir, nil)
			return open(t, dir, nil)
		})
		drivertest.Moves(t, func(t *testing.T) driver.Mover {
			dir := filepath.Join(t.TempDir(), "log")
			open(t, dir, nil)
			return open(t, dir, nil)
		})
	})
	drivertest.Handles(t, func(t *testing.T) func(*testing.T) driver.Log {
		dir := t.TempDir()
		return func(t *testing.T) driver.Log { return open(t, dir, nil) }
	})
}
