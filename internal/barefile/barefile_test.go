package barefile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// TestAppend appends from many goroutines: every payload is in the file, whole,
// once, and behind each other.
func TestAppend(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bare")
	b, err := Open(path, true)
	if err != nil {
		t.Fatal(err)
	}
	const writers, each, size = 32, 20, 5000
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				p := bytes.Repeat([]byte{byte(w + 1)}, size)
				binary.LittleEndian.PutUint32(p, uint32(i))
				if err := b.Append(p); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	next := map[byte]uint32{}
	for range writers * each {
		p := data[:size]
		data = data[size:]
		w := p[4]
		if !bytes.Equal(p[4:], bytes.Repeat([]byte{w}, size-4)) || binary.LittleEndian.Uint32(p) != next[w] {
			t.Fatalf("writer %d: payload %d is torn or out of order", w, next[w])
		}
		next[w]++
	}
	if rest := bytes.Trim(data, "\x00"); len(rest) > 0 {
		t.Errorf("%d bytes behind the last payload", len(rest))
	}
}

// TestAppendAfterFailure fails for good.
func TestAppendAfterFailure(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bare")
	b, err := Open(path, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.Append([]byte("x")); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%v, expected os.ErrClosed", err)
		}
	}
	if _, err := Open(path, true); !errors.Is(err, fs.ErrExist) {
		t.Errorf("open of what exists: %v, expected fs.ErrExist", err)
	}
}

func TestFileSystem(t *testing.T) {
	t.Parallel()
	name, _, err := FileSystem(t.TempDir())
	if name == "" || err != nil {
		t.Errorf("%q, %v", name, err)
	}
	if _, _, err := FileSystem(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a missing directory: %v, expected fs.ErrNotExist", err)
	}
	if _, err := os.Stat("/dev/shm"); err == nil {
		if name, tmpfs, err := FileSystem("/dev/shm"); name != "tmpfs" || !tmpfs || err != nil {
			t.Errorf("/dev/shm: %q, %v, %v", name, tmpfs, err)
		}
	}
}
