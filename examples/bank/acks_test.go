package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestAcks: a line that a crash cut off is removed, ids of before stay.
func TestAcks(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789abcdef\n", 1000)
	for before, want := range map[string]string{
		"":            "",
		"one\ntwo\n":  "one\ntwo\n",
		"one\ntwo":    "one\n",
		"torn":        "",
		long + "torn": long,
	} {
		name := filepath.Join(t.TempDir(), "acks")
		writeFile(t, name, before)
		a, err := openAcks(name)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for _, id := range []string{"x", "y", "z"} {
			wg.Go(func() {
				if err := a.append(id); err != nil {
					t.Error(err)
				}
				if !strings.Contains(read(t, name), id+"\n") {
					t.Errorf("%s is not in the file when append returns", id)
				}
			})
		}
		wg.Wait()
		if err := a.close(); err != nil {
			t.Error(err)
		}
		got := strings.TrimPrefix(read(t, name), want)
		if lines := strings.Fields(got); !slices.Equal(slices.Sorted(slices.Values(lines)), []string{"x", "y", "z"}) {
			t.Errorf("%.40q became %.40q", before, got)
		}
		ids, err := readAcks(name)
		if n := strings.Count(want, "\n") + 3; err != nil || len(ids) != n {
			t.Errorf("%d ids were read, want %d: %v", len(ids), n, err)
		}
	}
}

func TestAcksRefuses(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "image")
	text := strings.Repeat("x", 10_000)
	writeFile(t, name, text)
	if _, err := openAcks(name); err == nil {
		t.Error("a file without lines is taken for one of ids")
	}
	if read(t, name) != text {
		t.Error("it was changed")
	}
	if _, err := openAcks(filepath.Join(t.TempDir(), "no", "such", "directory")); err == nil {
		t.Error("a missing directory is no error")
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	a := &acks{file: f, lines: make(chan line, 1)}
	a.done.Go(a.write)
	if err := a.append("x"); err == nil {
		t.Error("an id that cannot be written is acknowledged")
	}
	if err := a.close(); err == nil {
		t.Error("a file that cannot be closed is")
	}
}
