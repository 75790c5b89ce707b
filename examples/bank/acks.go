package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// acks is a file of ids, a line each. An id is in the file for good when append
// returns; appends that come together share one sync.
type acks struct {
	file  *os.File
	lines chan line
	done  sync.WaitGroup
}

type line struct {
	id     string
	synced chan error
}

// openAcks opens the file for appending, and creates it where there is none. A
// last line without an end was cut off by a crash: nobody was told that it is
// there, and it is removed.
func openAcks(name string) (*acks, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := cutLastLine(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	a := &acks{file: f, lines: make(chan line, 256)}
	a.done.Go(a.write)
	return a, nil
}

// cutLastLine removes what follows the last line break, and leaves f at its end.
func cutLastLine(f *os.File) error {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	tail := make([]byte, min(end, 4096)) // longer than any id
	if _, err := f.ReadAt(tail, end-int64(len(tail))); err != nil {
		return err
	}
	whole := bytes.LastIndexByte(tail, '\n') + 1
	if whole == 0 && int(end) > len(tail) {
		return fmt.Errorf("%s is not a file of ids", f.Name())
	}
	cut := end - int64(len(tail)-whole)
	if err := f.Truncate(cut); err != nil {
		return err
	}
	_, err = f.Seek(cut, io.SeekStart)
	return err
}

func (a *acks) append(id string) error {
	l := line{id, make(chan error, 1)}
	a.lines <- l
	return <-l.synced
}

// write writes and syncs what waits, again and again.
func (a *acks) write() {
	for first := range a.lines {
		batch := []line{first}
		for len(a.lines) > 0 {
			batch = append(batch, <-a.lines)
		}
		var text bytes.Buffer
		for _, l := range batch {
			text.WriteString(l.id + "\n")
		}
		_, err := a.file.Write(text.Bytes())
		if err == nil {
			err = a.file.Sync()
		}
		for _, l := range batch {
			l.synced <- err
		}
	}
}

func (a *acks) close() error {
	close(a.lines)
	a.done.Wait()
	return a.file.Close()
}

// readAcks returns the ids in a file. A last line without an end does not count.
func readAcks(name string) (ids []string, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for r := bufio.NewReader(f); ; {
		id, err := r.ReadString('\n')
		if err == io.EOF {
			return ids, nil
		}
		if err != nil {
			return nil, err
		}
		if id = id[:len(id)-1]; id != "" {
			ids = append(ids, id)
		}
	}
}
