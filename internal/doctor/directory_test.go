package doctor_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog/pebblelog"
	"github.com/rollforward/rollforward/internal/doctor"
)

// TestHeld: whether the process that has a directory shares it is told, also where it
// cannot be reached. Script doctor.txtar of eventlog has those that can.
func TestHeld(t *testing.T) {
	t.Parallel()
	for sharing, want := range map[bool]string{false: "does not share the directory", true: "does not let this one in"} {
		dir := t.TempDir()
		d, err := pebblelog.Open(dir, &pebblelog.Options{Sharing: sharing}) // and has no socket
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // it does not wait for a socket
		r := doctor.Directory(ctx, dir)
		if level(t, r, "directory") != doctor.Warning || len(r) != 1 || !strings.Contains(r[0].Do, want) || !strings.Contains(r[0].Found, "held by process") {
			t.Errorf("sharing %t: %+v", sharing, r)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if r := doctor.Directory(t.Context(), t.TempDir()); level(t, r, "directory") != doctor.Bad {
		t.Errorf("no log: %+v", r)
	}
}

// TestOpenToEverybody: a directory in which everybody may write is warned of.
func TestOpenToEverybody(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, err := pebblelog.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.Close(), os.Chmod(dir, 0o777)); err != nil {
		t.Fatal(err)
	}
	if r := doctor.Directory(t.Context(), dir); level(t, r, "permissions") != doctor.Warning {
		t.Errorf("%+v", r)
	}
}
