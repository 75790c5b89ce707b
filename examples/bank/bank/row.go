package bank

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// columns is the header of a journal.
var columns = []string{"transaction", "date", "description", "account", "amount_cents", "currency"}

// rows reads the rows of a journal.
type rows struct {
	file   string
	source *source
	csv    *csv.Reader
}

// A row is a posting with its transaction. Of a broken row, transaction is what
// could be read of it.
type row struct {
	Posting
	transaction string
	unreadable  bool // not even its transaction is known
}

func (r *row) mayBelongTo(t *Transaction) bool { return r.unreadable || r.transaction == t.ID }

// readHeader returns the rows behind the header.
func readHeader(file string, r io.Reader) (*rows, error) {
	s := newSource(r)
	rs := &rows{file: file, source: s, csv: csv.NewReader(s)}
	rs.csv.FieldsPerRecord = len(columns)
	rs.csv.ReuseRecord = true
	header, err := rs.csv.Read()
	switch {
	case err == io.EOF:
		return nil, rs.at(1, fmt.Errorf("the file is empty; its header must be %s", strings.Join(columns, ",")))
	case err != nil && !errors.Is(err, csv.ErrFieldCount):
		return nil, rs.broken(err)
	case !slices.Equal(header, columns):
		line, _ := rs.csv.FieldPos(0)
		return nil, rs.at(line, fmt.Errorf("the header is %.200q; it must be %q", strings.Join(header, ","), strings.Join(columns, ",")))
	}
	return rs, nil
}

// next returns the next row, or io.EOF.
func (rs *rows) next() (row, error) {
	rs.source.forget(rs.csv.InputOffset())
	fields, err := rs.csv.Read()
	switch {
	case err == io.EOF:
		return row{}, err
	case err != nil:
		r := row{}
		r.transaction, r.unreadable = rs.firstColumn(fields)
		return r, rs.broken(err)
	}
	line, _ := rs.csv.FieldPos(0)
	r := row{transaction: fields[0]}
	if r.Posting, err = parsePosting(fields); err != nil {
		return r, rs.at(line, err)
	}
	r.Line = line
	return r, nil
}

// firstColumn returns what it can of a row that is not CSV.
func (rs *rows) firstColumn(fields []string) (column string, unreadable bool) {
	if len(fields) > 0 {
		return fields[0], false
	}
	_, text := rs.source.position()
	first, _, ok := bytes.Cut(text, []byte(","))
	if !ok || bytes.ContainsAny(first, "\"\r\n") {
		return "", true
	}
	return string(first), false
}

// broken says in the words of a user what is wrong with a row.
func (rs *rows) broken(err error) error {
	var p *csv.ParseError
	line, _ := rs.source.position()
	switch {
	case errors.Is(err, errRowTooLong):
		return rs.at(line, err)
	case !errors.As(err, &p):
		return fmt.Errorf("%s: %w", rs.file, err) // the file, not its content
	case errors.Is(err, csv.ErrFieldCount):
		return rs.at(p.StartLine, fmt.Errorf("the row must have the %d columns %s", len(columns), strings.Join(columns, ",")))
	case p.Line != p.StartLine:
		return rs.at(p.StartLine, fmt.Errorf("a quoted column does not end properly, up to line %d", p.Line))
	}
	return rs.at(p.StartLine, fmt.Errorf("column %d: %w", p.Column, p.Err))
}

func (rs *rows) at(line int, err error) error {
	return &LineError{File: rs.file, Line: line, Err: err}
}

// parsePosting reads the columns of a row.
func parsePosting(fields []string) (Posting, error) {
	p := Posting{Date: Date(fields[1]), Description: fields[2], Account: AccountID{Name: fields[3], Currency: fields[5]}}
	if err := checkText("transaction", fields[0]); err != nil {
		return p, err
	}
	if _, err := ParseDate(fields[1]); err != nil {
		return p, fmt.Errorf("date %.40q is not of the form %s", fields[1], time.DateOnly)
	}
	if !utf8.ValidString(p.Description) {
		return p, fmt.Errorf("the description %.60q is not UTF-8", p.Description)
	}
	if err := p.Account.check(); err != nil {
		return p, err
	}
	amount, err := strconv.ParseInt(fields[4], 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		return p, fmt.Errorf("amount_cents %.60s does not fit into 64 bits", fields[4])
	}
	if err != nil {
		return p, fmt.Errorf("amount_cents %.60q is not a whole number", fields[4])
	}
	p.Amount = amount
	return p, nil
}
