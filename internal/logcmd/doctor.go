package logcmd

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog/datastorelog"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/internal/doctor"
	"github.com/rollforward/rollforward/internal/dsdoctor"
)

var findingColumns = []cli.Column[doctor.Finding]{
	{Head: "CHECK", Cell: func(f doctor.Finding) string { return f.Check }},
	{Head: "RESULT", Cell: func(f doctor.Finding) string { return string(f.Level) }},
	{Head: "FOUND", Cell: func(f doctor.Finding) string {
		if f.Do == "" {
			return f.Found
		}
		return f.Found + "; " + f.Do
	}},
}

func newDoctor(store *cli.Store) *cobra.Command {
	format := cli.Table
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what keeps a log from working, and what to do",
		Long: `Doctor looks at where the log is kept, as far as that goes without changing it: whether
it is there and can be opened, who holds it and whether that process shares it, how much
space is left, its format and shards, and whether its times agree with this machine's
clock. It reads no more than
the last commits; "eventlog verify" reads all. Exit status 1: something is bad.`,
		Example: `  eventlog doctor
  eventlog doctor -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report, err := examine(cmd.Context(), store)
			if err != nil {
				return err
			}
			list := cli.NewList(cmd.OutOrStdout(), format, findingColumns)
			for _, f := range report {
				if err := list.Add(f); err != nil {
					return err
				}
			}
			return errors.Join(list.End(), report.Err())
		},
	}
	format.AddFlag(cmd)
	return cmd
}

// examine looks at where the log is kept, and at the log.
func examine(ctx context.Context, store *cli.Store) (doctor.Report, error) {
	if !store.InDatastore() {
		dir, err := store.Dir()
		if err != nil {
			return nil, err
		}
		return doctor.Directory(ctx, dir), nil
	}
	project, o, err := store.Datastore()
	if err != nil {
		return nil, err
	}
	project, emulator, err := datastorelog.Resolve(project, o)
	if err != nil {
		return nil, err
	}
	r := dsdoctor.Database{Project: project, ID: o.Database, Namespace: o.Namespace, Emulator: emulator}.Examine(ctx)
	if r.Err() != nil {
		return r, nil
	}
	l, err := store.Open(ctx, cli.Read, nil)
	if err != nil {
		r.Manifest(err)
		return r, nil
	}
	r = append(r, doctor.Log(ctx, l)...)
	return r, l.Close()
}
