// Package barefile is the least that a durable log can be: one file, payloads
// written behind each other, one fdatasync for all callers that wait together.
// It keeps no index, no checksums and no order to read by; it is the physical
// limit that benchmarks compare the event log with.
package barefile

import (
	"fmt"
	"os"
	"runtime"
	"sync"
)

// A File appends to one file. It may be used by any number of goroutines.
type File struct {
	f *os.File

	mu    sync.Mutex
	group *group // gathers payloads
	led   bool   // somebody writes

	spare  []byte // the leader's own: the buffer of the last group
	offset int64
	filled int64
	err    error // the first failure; nothing is written after it
}

// A group is written and synced together.
type group struct {
	data []byte
	lead chan struct{} // a token for the one who must write it
	done chan struct{} // closed when it is on disk
	err  error
}

func newGroup(buf []byte) *group {
	return &group{data: buf[:0], lead: make(chan struct{}, 1), done: make(chan struct{})}
}

// Open makes a new file at path, which must not exist.
func Open(path string) (*File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("barefile: %w", err)
	}
	return &File{f: f, group: newGroup(nil)}, nil
}

// Append writes payload behind all earlier ones and returns when it is on disk.
// After an error nothing more can be appended.
func (b *File) Append(payload []byte) error {
	b.mu.Lock()
	g := b.group
	g.data = append(g.data, payload...)
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
	b.write(g)
	return g.err
}

// write writes the group that gathers and lets one of the next lead.
func (b *File) write(g *group) {
	runtime.Gosched() // callers of the last group join this one
	runtime.Gosched()
	b.mu.Lock()
	b.group = newGroup(b.spare)
	b.mu.Unlock()
	g.err = b.sync(g.data)
	b.mu.Lock()
	b.spare = g.data
	next := b.group
	b.led = len(next.data) > 0
	led := b.led
	b.mu.Unlock()
	if led {
		next.lead <- struct{}{}
	}
	close(g.done)
}

func (b *File) sync(data []byte) error {
	if b.err != nil {
		return b.err
	}
	if _, b.err = b.f.WriteAt(data, b.offset); b.err == nil {
		b.offset += int64(len(data))
		b.err = datasync(b.f)
	}
	return b.err
}

// Size returns the number of bytes appended.
func (b *File) Size() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.offset
}

// Close closes the file. It must not be called while somebody appends.
func (b *File) Close() error { return b.f.Close() }
