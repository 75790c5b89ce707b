package cli

import (
	"bufio"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Column is a column of a table of T.
type Column[T any] struct {
	Head  string
	Right bool // numbers
	Cell  func(T) string
}

// A List writes things one after another, as a table or as JSON. A table's
// columns are as wide as its first rows need; later rows may widen them.
type List[T any] struct {
	Live bool // each is written at once, not when there are many

	out     *bufio.Writer
	format  Format
	columns []Column[T]
	n       int
	rows    [][]string // of a table, to be written
	widths  []int
}

const rowsAtOnce = 500

// NewList returns a List that writes to w. It must be ended.
func NewList[T any](w io.Writer, f Format, columns []Column[T]) *List[T] {
	return &List[T]{out: bufio.NewWriterSize(w, 64<<10), format: f, columns: columns, widths: make([]int, len(columns))}
}

// Add writes one more.
func (l *List[T]) Add(v T) error {
	l.n++
	if err := l.add(v); err != nil {
		return err
	}
	if !l.Live {
		return nil
	}
	return l.flush()
}

func (l *List[T]) add(v T) error {
	if l.format == Table {
		return l.addRow(v)
	}
	if l.format == JSON {
		sep := ",\n"
		if l.n == 1 {
			sep = "[\n"
		}
		l.out.WriteString(sep) // a bufio.Writer keeps its error
	}
	line, err := marshal(v)
	if err != nil {
		return err
	}
	_, err = l.out.Write(line)
	if l.format == JSONL {
		err = l.out.WriteByte('\n')
	}
	return err
}

// Len returns how many were added.
func (l *List[T]) Len() int { return l.n }

// End writes what is left. Without anything a table has no head.
func (l *List[T]) End() error {
	if l.format == JSON {
		if l.n == 0 {
			l.out.WriteString("[")
		}
		l.out.WriteString("\n]\n")
	}
	return l.flush()
}

func (l *List[T]) flush() error {
	l.writeRows()
	return l.out.Flush()
}

func (l *List[T]) addRow(v T) error {
	if l.n == 1 {
		head := make([]string, len(l.columns))
		for i, c := range l.columns {
			head[i] = c.Head
		}
		l.row(head)
	}
	cells := make([]string, len(l.columns))
	for i, c := range l.columns {
		cells[i] = Printable(c.Cell(v))
	}
	l.row(cells)
	if len(l.rows) < rowsAtOnce {
		return nil
	}
	l.writeRows()
	_, err := l.out.Write(nil)
	return err
}

func (l *List[T]) row(cells []string) {
	for i, c := range cells {
		l.widths[i] = max(l.widths[i], utf8.RuneCountInString(c))
	}
	l.rows = append(l.rows, cells)
}

func (l *List[T]) writeRows() {
	for _, cells := range l.rows {
		for i, c := range cells {
			if i > 0 {
				l.out.WriteString("  ")
			}
			pad := strings.Repeat(" ", l.widths[i]-utf8.RuneCountInString(c))
			switch {
			case l.columns[i].Right:
				l.out.WriteString(pad + c)
			case i == len(cells)-1:
				l.out.WriteString(c)
			default:
				l.out.WriteString(c + pad)
			}
		}
		l.out.WriteByte('\n')
	}
	l.rows = l.rows[:0]
}

// Printable replaces what a terminal would act upon.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
