// Package barefile is the least that a durable log can be: one file, payloads
// written behind each other, one fdatasync for all callers that wait together.
// It keeps no index, no checksums and no order to read by; it is the physical
// limit that benchmarks compare the event log with.
//
// A prepared file is filled with zeros, a MiB ahead of small writes: a sync into
// blocks that were written before needs no change of the file system's own
// structures, and takes two thirds of the time on ext4; blocks that are only
// reserved (fallocate) take as long as new ones. The event log prepares its
// write-ahead log in the same way.
package barefile

import (
	"fmt"
	"os"
	"runtime"
	"sync"
)

// A File appends to one file. It may be used by any number of goroutines.
type File struct {
	f        *os.File
	prepared bool

	mu    sync.Mutex
	group *group // gathers payloads
	led   bool   // somebody writes

	// The leader's own.
	spare  []byte // the buffer of the last group
	offset int64  // of the next write
	ready  int64  // the file is filled up to here
	err    error  // the first failure; nothing is written after it
}

// A group is written and synced together.
type group struct {
	data []byte
	size int           // how many callers
	lead chan struct{} // a token for the one who must write it
	done chan struct{} // closed when it is on disk
	err  error
}

func newGroup(buf []byte) *group {
	return &group{data: buf[:0], lead: make(chan struct{}, 1), done: make(chan struct{})}
}

// Open makes a new file at path, which must not exist, and may prepare it ahead of
// small writes.
func Open(path string, prepared bool) (*File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("barefile: %w", err)
	}
	return &File{f: f, prepared: prepared, group: newGroup(nil)}, nil
}

// Append writes payload behind all earlier ones and returns when it is on disk.
// After an error nothing more is appended, and every call returns that error.
func (b *File) Append(payload []byte) error {
	b.mu.Lock()
	g := b.group
	g.data = append(g.data, payload...)
	g.size++
	lead := !b.led
	b.led = true
	b.mu.Unlock()
	if !lead {
		select {
		case <-g.done:
			return g.err
		case <-g.lead:
		}
	}
	b.lead(g)
	return g.err
}

// lead writes the group that gathers and lets one of the next group lead.
func (b *File) lead(g *group) {
	runtime.Gosched() // callers of the last group join this one
	runtime.Gosched()
	b.mu.Lock()
	b.group = newGroup(b.spare)
	b.mu.Unlock()
	g.err = b.write(g.data)
	b.mu.Lock()
	b.spare = g.data
	next := b.group
	b.led = next.size > 0
	led := b.led
	b.mu.Unlock()
	if led {
		next.lead <- struct{}{}
	}
	close(g.done)
}

func (b *File) write(data []byte) error {
	if b.err != nil {
		return b.err
	}
	if b.err = b.prepare(int64(len(data))); b.err != nil {
		return b.err
	}
	if _, b.err = b.f.WriteAt(data, b.offset); b.err != nil {
		return b.err
	}
	b.offset += int64(len(data))
	b.err = datasync(b.f)
	return b.err
}

const (
	smallWrite = 64 << 10 // larger ones gain nothing by zeros
	fill       = 1 << 20
)

var zeros [fill]byte

// prepare fills the file ahead of a small write, if it may.
func (b *File) prepare(n int64) error {
	if !b.prepared || n > smallWrite || b.offset+n <= b.ready {
		return nil
	}
	from := max(b.ready, b.offset)
	b.ready = from + fill
	_, err := b.f.WriteAt(zeros[:], from)
	return err
}

// Close closes the file. It must not be called while somebody appends.
func (b *File) Close() error { return b.f.Close() }
