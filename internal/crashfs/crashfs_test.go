package crashfs

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestCutWhileReused cuts the power all the time while a file is renamed and opened to
// be written again: nothing hangs.
func TestCutWhileReused(t *testing.T) {
	fs := New()
	if err := closed(fs.Create("a", vfs.WriteCategoryUnspecified)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		var err error
		for from, to, i := "a", "b", 0; err == nil && i < 20_000; from, to, i = to, from, i+1 {
			err = closed(fs.ReuseForWrite(from, to, vfs.WriteCategoryUnspecified))
		}
		ended <- err
	}()
	for {
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
			return
		default:
			fs.CrashClone(vfs.CrashCloneCfg{})
		}
	}
}

func closed(f vfs.File, err error) error {
	if err != nil {
		return err
	}
	return f.Close()
}
