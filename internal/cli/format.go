package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// A Format is how results are written. It is a flag's value.
type Format string

// The formats.
const (
	Table Format = "table" // for people
	JSON  Format = "json"  // one value
	JSONL Format = "jsonl" // one value a line
)

var formats = []string{string(Table), string(JSON), string(JSONL)}

// AddFlag adds -o to cmd, with f as it is as the default.
func (f *Format) AddFlag(cmd *cobra.Command) {
	cmd.Flags().VarP(f, "output", "o", "`format` of the output: "+strings.Join(formats, ", "))
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
}

// String returns the format's name.
func (f *Format) String() string { return string(*f) }

// Set takes the name of a format.
func (f *Format) Set(s string) error {
	if !slices.Contains(formats, s) {
		return fmt.Errorf("want one of %s", strings.Join(formats, ", "))
	}
	*f = Format(s)
	return nil
}

// Type says what kind of value the flag has.
func (f *Format) Type() string { return "format" }

// A Field is a line of a table with one object.
type Field struct{ Name, Value string }

// WriteObject writes one object: v as JSON, or fields as a table.
func WriteObject(w io.Writer, f Format, v any, fields []Field) error {
	if f != Table {
		line, err := marshal(v)
		if err != nil {
			return err
		}
		_, err = w.Write(append(line, '\n'))
		return err
	}
	width := 0
	for _, x := range fields {
		width = max(width, len(x.Name))
	}
	for _, x := range fields {
		if _, err := fmt.Fprintf(w, "%-*s  %s\n", width, x.Name, Printable(x.Value)); err != nil {
			return err
		}
	}
	return nil
}

// marshal is json.Marshal, but leaves a Marshaler's text as it is and escapes
// nothing for HTML.
func marshal(v any) ([]byte, error) {
	if m, ok := v.(json.Marshaler); ok {
		return m.MarshalJSON()
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}
