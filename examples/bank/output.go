package main

import (
	"encoding/csv"
	"io"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/internal/cli"
)

// An output says how a list is written: in one of the formats of all commands,
// or as CSV. It is a flag's value.
type output struct {
	cli.Format
	csv bool
}

func (o *output) addFlag(cmd *cobra.Command) {
	o.Format = cli.Table
	cmd.Flags().VarP(o, "output", "o", "`format` of the output: table, json, jsonl, csv")
	_ = cmd.RegisterFlagCompletionFunc("output", // the flag is there
		cobra.FixedCompletions([]string{"table", "json", "jsonl", "csv"}, cobra.ShellCompDirectiveNoFileComp))
}

// String returns the format's name.
func (o *output) String() string {
	if o.csv {
		return "csv"
	}
	return o.Format.String()
}

// Set takes the name of a format.
func (o *output) Set(s string) error {
	if o.csv = s == "csv"; o.csv {
		return nil
	}
	return o.Format.Set(s)
}

// A column is one of a list of T. Its name is CSV's; a table's is in capitals.
type column[T any] struct {
	name  string
	right bool // numbers
	cell  func(T) string
}

// write writes a list.
func write[T any](w io.Writer, o output, columns []column[T], list iter.Seq2[T, error]) error {
	if o.csv {
		return writeCSV(w, columns, list)
	}
	heads := make([]cli.Column[T], len(columns))
	for i, c := range columns {
		heads[i] = cli.Column[T]{Head: strings.ToUpper(c.name), Right: c.right, Cell: c.cell}
	}
	out := cli.NewList(w, o.Format, heads)
	for v, err := range list {
		if err != nil {
			return err
		}
		if err := out.Add(v); err != nil {
			return err
		}
	}
	return out.End()
}

func writeCSV[T any](w io.Writer, columns []column[T], list iter.Seq2[T, error]) error {
	out := csv.NewWriter(w)
	row := make([]string, len(columns))
	for i, c := range columns {
		row[i] = c.name
	}
	if err := out.Write(row); err != nil {
		return err
	}
	for v, err := range list {
		if err != nil {
			return err
		}
		for i, c := range columns {
			row[i] = c.cell(v)
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}
