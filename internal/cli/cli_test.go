package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
)

func TestRunReturnsTheStatus(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err    error
		args   []string
		status int
		stderr string
	}{
		"ok":              {nil, []string{"do"}, OK, ""},
		"failed":          {errors.New("broken"), []string{"do"}, Failed, "tool: broken\n"},
		"own prefix":      {errors.New("tool: broken"), []string{"do"}, Failed, "tool: broken\n"},
		"conflict":        {fmt.Errorf("append: %w", eventlog.ErrConflict), []string{"do"}, Conflict, "tool: append: conflict\n"},
		"version":         {&eventlog.VersionError{Stream: "a", Want: 1, Have: 2}, []string{"do"}, Conflict, "tool: stream a is at version 2, not 1: conflict\n"},
		"id reused":       {eventlog.ErrIDReused, []string{"do"}, Conflict, "tool: id reused with other content\n"},
		"usage":           {Usage("--n %d", 5), []string{"do"}, Misused, "tool: --n 5\nTry 'tool do --help'.\n"},
		"wrapped usage":   {fmt.Errorf("x: %w", Usage("y")), []string{"do"}, Misused, "tool: x: y\nTry 'tool do --help'.\n"},
		"unknown flag":    {nil, []string{"do", "--x"}, Misused, "tool: unknown flag: --x\nTry 'tool do --help'.\n"},
		"arguments":       {nil, []string{"do", "x"}, Misused, "tool: unknown command \"x\" for \"tool do\"\nTry 'tool do --help'.\n"},
		"unknown command": {nil, []string{"od"}, Misused, "tool: unknown command \"od\"; did you mean do?\nTry 'tool --help'.\n"},
		"no sub-command":  {nil, []string{"many", "on"}, Misused, "tool: unknown command \"on\"; did you mean one?\nTry 'tool many --help'.\n"},
		"interrupted":     {context.Canceled, []string{"do", "--cancel"}, Failed, "tool: interrupted: context canceled\n"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		root := &cobra.Command{Use: "tool"}
		do := &cobra.Command{Use: "do", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			if on, _ := cmd.Flags().GetBool("cancel"); on {
				cancel()
			}
			return c.err
		}}
		do.Flags().Bool("cancel", false, "")
		many := &cobra.Command{Use: "many"}
		many.AddCommand(&cobra.Command{Use: "one", RunE: do.RunE})
		root.AddCommand(do, many)
		var stdout, stderr bytes.Buffer
		root.SetOut(&stdout)
		root.SetErr(&stderr)
		if got := Run(ctx, root, c.args); got != c.status {
			t.Errorf("%s: status %d, want %d", name, got, c.status)
		}
		if diff := cmp.Diff(c.stderr, stderr.String()); diff != "" || stdout.Len() > 0 {
			t.Errorf("%s: stderr (-want +got):\n%s%s", name, diff, &stdout)
		}
		cancel()
	}
}

type thing struct {
	Name string
	N    int
}

var columns = []Column[thing]{
	{Head: "NAME", Cell: func(t thing) string { return t.Name }},
	{Head: "N", Right: true, Cell: func(t thing) string { return fmt.Sprint(t.N) }},
	{Head: "LAST", Cell: func(thing) string { return "x" }},
}

func TestList(t *testing.T) {
	t.Parallel()
	things := []thing{{"a", 1}, {"ü<b>\x1b[31m", 10}}
	for _, c := range []struct {
		format Format
		things []thing
		want   string
	}{
		{Table, nil, ""},
		{Table, things, "NAME      N  LAST\na         1  x\nü<b>�[31m  10  x\n"},
		{JSON, nil, "[\n]\n"},
		{JSON, things[:1], "[\n{\"Name\":\"a\",\"N\":1}\n]\n"},
		{JSON, things, "[\n{\"Name\":\"a\",\"N\":1},\n{\"Name\":\"ü<b>\\u001b[31m\",\"N\":10}\n]\n"},
		{JSONL, things, "{\"Name\":\"a\",\"N\":1}\n{\"Name\":\"ü<b>\\u001b[31m\",\"N\":10}\n"},
	} {
		for _, live := range []bool{false, true} {
			var out bytes.Buffer
			l := NewList(&out, c.format, columns)
			l.Live = live
			for _, v := range c.things {
				if err := l.Add(v); err != nil {
					t.Fatal(err)
				}
			}
			if l.Len() != len(c.things) {
				t.Errorf("Len %d", l.Len())
			}
			if err := l.End(); err != nil {
				t.Fatal(err)
			}
			got, want := out.String(), c.want
			if c.format == Table { // a live table widens as it goes
				got, want = strings.Join(strings.Fields(got), " "), strings.Join(strings.Fields(want), " ")
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, live %t (-want +got):\n%s", c.format, live, diff)
			}
		}
	}
}

// A long table is written in parts, a live list at once.
func TestListWritesOnTheWay(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := NewList(&out, Table, columns)
	for range 100_000 {
		if err := l.Add(thing{"a", 1}); err != nil {
			t.Fatal(err)
		}
	}
	if out.Len() == 0 {
		t.Error("everything is held in memory")
	}
	out.Reset()
	l = NewList(&out, JSONL, columns)
	l.Live = true
	if err := l.Add(thing{"a", 1}); err != nil || out.Len() == 0 {
		t.Errorf("a live list holds back: %v", err)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestListReportsWriteErrors(t *testing.T) {
	t.Parallel()
	for _, f := range []Format{Table, JSON, JSONL} {
		l := NewList(broken{}, f, columns)
		if err := l.Add(thing{}); err != nil {
			t.Errorf("%s: Add: %v before anything was written", f, err)
		}
		if err := l.End(); err == nil {
			t.Errorf("%s: no error", f)
		}
	}
}

func TestWriteObject(t *testing.T) {
	t.Parallel()
	fields := []Field{{"name", "a\x07"}, {"long name", "b"}}
	for f, want := range map[Format]string{
		Table: "name       a�\nlong name  b\n",
		JSON:  "{\"Name\":\"<a>\",\"N\":2}\n",
		JSONL: "{\"Name\":\"<a>\",\"N\":2}\n",
	} {
		var out bytes.Buffer
		if err := WriteObject(&out, f, thing{"<a>", 2}, fields); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", f, diff)
		}
		if f != Table && !json.Valid(out.Bytes()) {
			t.Errorf("%s is not JSON", &out)
		}
	}
}

func TestFormat(t *testing.T) {
	t.Parallel()
	f := Table
	if err := f.Set("jsonl"); err != nil || f != JSONL || f.String() != "jsonl" {
		t.Errorf("%v %s", err, f)
	}
	if err := f.Set("xml"); err == nil || f != JSONL {
		t.Errorf("%v %s", err, f)
	}
}

func TestStoreNamesNoLog(t *testing.T) {
	t.Setenv(logVariable, "")
	var s Store
	if _, err := s.Dir(); Status(err) != Misused {
		t.Errorf("error %v", err)
	}
	t.Setenv(logVariable, "from the environment")
	if dir, err := s.Dir(); dir != "from the environment" || err != nil {
		t.Errorf("%q %v", dir, err)
	}
	s.log = "from the flag"
	if dir, err := s.Dir(); dir != "from the flag" || err != nil {
		t.Errorf("%q %v", dir, err)
	}
}
