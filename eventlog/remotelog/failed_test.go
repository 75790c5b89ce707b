package remotelog

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
)

// A failure lets one write to a write-ahead log fail, when it is armed.
type failure struct{ armed atomic.Bool }

func (*failure) String() string { return "once" }

func (f *failure) MaybeError(op errorfs.Op) error {
	if strings.HasSuffix(op.Path, ".log") && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && f.armed.CompareAndSwap(true, false) {
		return errors.New("injected")
	}
	return nil
}

// TestFailedDirectoryIsOpenedAgain: when the disk fails under a write its owner gives the
// directory up. Everybody goes on with the next owner, who knows what has become of it.
func TestFailedDirectoryIsOpenedAgain(t *testing.T) {
	for _, who := range []string{"the owner", "a client"} {
		t.Run("under a write of "+who, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			f, dir := new(failure), filepath.Join(t.TempDir(), "log")
			open := func() *eventlog.Log {
				d := share(t, dir, Options{Store: pebblelog.Options{FS: errorfs.Wrap(vfs.Default, f), MemTableSize: 1 << 20, Reserve: -1}})
				l, err := eventlog.Open(ctx, d, &eventlog.Options{Shards: 2})
				if err != nil {
					t.Fatal(err)
				}
				return l
			}
			owner, client := open(), open()
			defer owner.Close()
			defer client.Close()
			add := func(l *eventlog.Log) error {
				_, err := l.Append(ctx, "s", nil, note{"x"})
				return err
			}
			if err := errors.Join(add(owner), add(client)); err != nil {
				t.Fatal(err)
			}
			f.armed.Store(true)
			acked := 4
			if who == "the owner" {
				if err := add(owner); !errors.Is(err, driver.ErrUnknown) {
					t.Errorf("a write under which the disk fails: %v, expected ErrUnknown", err)
				}
			} else if err := add(client); err != nil {
				t.Errorf("a write under which the owner's disk fails: %v", err)
			} else {
				acked++
			}
			if f.armed.Load() {
				t.Fatal("nothing has failed")
			}
			if err := errors.Join(add(owner), add(client)); err != nil {
				t.Fatal(err)
			}
			have := 0
			for _, err := range client.Read(ctx, eventlog.Query{Stream: "s"}) {
				if have++; err != nil {
					t.Fatal(err)
				}
			}
			if have != acked && (who != "the owner" || have != acked+1) {
				t.Errorf("%d events, %d were acknowledged", have, acked)
			}
			if err := eventlog.Check(ctx, client); err != nil {
				t.Error(err)
			}
		})
	}
}
