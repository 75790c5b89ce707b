package bank

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"iter"
)

// MaxPostings bounds what is kept of a transaction while its end is not in
// sight.
const MaxPostings = 1_000

// A LineError says where in a file something is wrong.
type LineError struct {
	File string
	Line int
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err) }
func (e *LineError) Unwrap() error { return e.Err }

// ReadJournal reads books in CSV: a header, then postings, those of one
// transaction in consecutive rows. It yields, in order, every transaction that is
// whole and balanced, up to the first error, which is a *LineError unless file
// could not be read at all. It keeps one transaction in memory.
//
// A transaction is whole when a row of another one follows, or the end of the
// file. If a row is so broken that even its first column cannot be read, the
// transaction before it is not yielded either: the row may belong to it.
func ReadJournal(file string, r io.Reader) iter.Seq2[*Transaction, error] {
	return func(yield func(*Transaction, error) bool) {
		rows, err := readHeader(file, r)
		if err != nil {
			yield(nil, err)
			return
		}
		var open *Transaction
		for {
			row, err := rows.next()
			if open != nil && !row.mayBelongTo(open) {
				if err := open.Balance(); err != nil {
					yield(nil, open.refused(0, err))
					return
				}
				if !yield(open, nil) {
					return
				}
				open = nil
			}
			if open == nil {
				open = &Transaction{ID: row.transaction, File: file}
			}
			if err == nil && len(open.Postings) == MaxPostings {
				err = open.refused(0, fmt.Errorf("it has more than %d postings", MaxPostings))
			}
			if err != nil {
				if err != io.EOF {
					yield(nil, err)
				}
				return
			}
			open.Postings = append(open.Postings, row.Posting)
		}
	}
}

// A source is a reader that keeps what was read of the row at hand, so that a
// row without an end is noticed before it fills the memory, and so that
// something can be said of a row that cannot be parsed.
type source struct {
	r    io.Reader
	kept []byte
	end  int64 // offset behind kept
	line int   // of the first byte of kept
}

// MaxRow is how long a row of a journal may be, in bytes.
const MaxRow = 1 << 20

var errRowTooLong = fmt.Errorf("a row of more than %d bytes", MaxRow)

var byteOrderMark = []byte("\uFEFF")

func newSource(r io.Reader) *source {
	b := bufio.NewReader(r)
	if start, _ := b.Peek(len(byteOrderMark)); bytes.Equal(start, byteOrderMark) {
		_, _ = b.Discard(len(byteOrderMark))
	}
	return &source{r: b, line: 1}
}

func (s *source) Read(p []byte) (int, error) {
	if len(s.kept) > MaxRow {
		return 0, errRowTooLong
	}
	n, err := s.r.Read(p)
	s.kept = append(s.kept, p[:n]...)
	s.end += int64(n)
	return n, err
}

// forget drops what lies before offset: rows that were parsed.
func (s *source) forget(offset int64) {
	n := len(s.kept) - int(s.end-offset)
	s.line += bytes.Count(s.kept[:n], newline)
	s.kept = s.kept[:copy(s.kept, s.kept[n:])]
}

var newline = []byte("\n")

// position returns where the row at hand begins, in lines, and its bytes as far
// as they were read.
func (s *source) position() (line int, row []byte) {
	row = bytes.TrimLeft(s.kept, "\r\n")
	return s.line + bytes.Count(s.kept[:len(s.kept)-len(row)], newline), row
}
