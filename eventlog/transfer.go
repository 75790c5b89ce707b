package eventlog

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// An export is lines of JSON: a header, the rows of all tables, the commits in the
// order of (time, shard, revision), an end. docs/format.md describes them.
const (
	exportFormat = 1
	kindLog      = "log"
	kindRow      = "row"
	kindCommit   = "commit"
	kindEnd      = "end"
)

type exportHeader struct {
	Kind   string     `json:"kind"`
	Format int        `json:"format"`
	Shards int        `json:"shards"`
	Index  Index      `json:"index"`
	Until  *time.Time `json:"until,omitempty"` // nil: no commits
}

// end is until in nanoseconds.
func (h *exportHeader) end() int64 {
	if h.Until == nil {
		return 0
	}
	return h.Until.UnixNano()
}

type exportRow struct {
	Kind   string          `json:"kind"`
	Table  string          `json:"table"`
	Key    string          `json:"key"`
	Value  json.RawMessage `json:"value"`
	Base64 []byte          `json:"value_base64"`
}

type exportCommit struct {
	Kind     string          `json:"kind"`
	ID       ID              `json:"id"`
	Shard    int             `json:"shard"`
	Revision driver.Revision `json:"revision"`
	Time     time.Time       `json:"time"`
	Meta     metaJSON        `json:"meta"`
	IDs      []exportOnce    `json:"ids"`
	Tables   []string        `json:"tables"`
}

type exportOnce struct {
	Stream string `json:"stream"`
	ID     string `json:"id"`
	Hash   string `json:"hash"` // of the content, in hex; empty: not known
}

type exportEnd struct {
	Kind  string `json:"kind"`
	Lines int64  `json:"lines"`
}

// appendCommit writes the line of what c holds beyond events.
func (c *placed) appendJSON(b []byte) []byte {
	b = append(b, `{"kind":"commit"`...)
	b = appendMember(b, ',', "id", c.id.String())
	b = appendPlace(b, c.shard, c.rev, time.Unix(0, c.time))
	b = c.meta.appendJSON(append(b, `,"meta":`...))
	for i, o := range c.onces {
		b = append(b, listMark("ids", i)...)
		b = appendMember(b, '{', "stream", o.stream)
		b = appendMember(b, ',', "id", o.id)
		if o.hash != 0 {
			b = appendMember(b, ',', "hash", strconv.FormatUint(o.hash, 16))
		}
		b = append(b, '}')
	}
	b = append(b, listEnd(len(c.onces))...)
	for i, t := range c.tables {
		b = appendText(append(b, listMark("tables", i)...), t)
	}
	b = append(b, listEnd(len(c.tables))...)
	return append(b, '}')
}

// listMark opens a list that is a member, or separates its elements.
func listMark(name string, i int) string {
	if i > 0 {
		return ","
	}
	return `,"` + name + `":[`
}

func listEnd(n int) string {
	if n > 0 {
		return "]"
	}
	return ""
}

// ExportedOptions returns the options with which a log must be made to become
// like the one that was exported: its shards and index. line is the export's
// first.
func ExportedOptions(line []byte) (*Options, error) {
	h, err := parseHeader(line)
	if err != nil {
		return nil, fmt.Errorf("eventlog: export: line 1: %w", err)
	}
	return &Options{Shards: h.Shards, Index: h.Index}, nil
}

func parseHeader(line []byte) (exportHeader, error) {
	var h exportHeader
	if kindOf(line) != kindLog {
		return h, fmt.Errorf("not the beginning of an export: %.60q", line)
	}
	if err := unmarshalStrict(line, &h); err != nil {
		return h, err
	}
	switch {
	case h.Format != exportFormat:
		return h, fmt.Errorf("%w: export format %d, this program knows %d", ErrFormat, h.Format, exportFormat)
	case h.Shards < 1 || h.Shards > maxShards:
		return h, fmt.Errorf("%d shards: 1 to %d", h.Shards, maxShards)
	}
	if h.Until != nil {
		if _, err := nanoseconds(*h.Until); err != nil {
			return h, err
		}
	}
	return h, nil
}

// kindOf returns the kind of a line, "" for a record or what is not JSON.
func kindOf(line []byte) string {
	if bytes.HasPrefix(line, []byte(`{"id":"`)) { // a record as we write it
		return ""
	}
	var k struct {
		Kind string `json:"kind"`
	}
	if json.Unmarshal(line, &k) != nil {
		return ""
	}
	return k.Kind
}

// nanoseconds returns a commit's time, which lies after 1970 and fits.
func nanoseconds(t time.Time) (int64, error) {
	n := t.UnixNano()
	if n <= 0 || n == math.MaxInt64 || !time.Unix(0, n).Equal(t) {
		return 0, fmt.Errorf("time %s is not that of a commit", t.Format(time.RFC3339Nano))
	}
	return n, nil
}

// maxLine bounds a line of an export: a commit whose every byte is escaped.
const maxLine = 8 << 20

// A lineReader reads and counts lines.
type lineReader struct {
	r    *bufio.Reader
	n    int64 // of the line that was read last
	line []byte
}

// next returns the next line without its end; it is valid until the next call.
// The last one needs no newline. At the end the error is io.EOF.
func (r *lineReader) next() ([]byte, error) {
	r.line = r.line[:0]
	for {
		part, err := r.r.ReadSlice('\n')
		r.line = append(r.line, part...)
		switch {
		case len(r.line) > maxLine:
			r.n++
			return nil, fmt.Errorf("longer than %d bytes", maxLine)
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF && len(r.line) == 0:
			return nil, io.EOF
		case err != nil && err != io.EOF:
			r.n++
			return nil, err
		}
		r.n++
		return bytes.TrimSuffix(r.line, []byte("\n")), nil
	}
}
