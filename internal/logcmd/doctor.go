package logcmd

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/internal/doctor"
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
it is there and can be opened, who holds it, how much space is left, its format and
shards, and whether its times agree with this machine's clock. It reads no more than
the last commits; "eventlog verify" reads all. Exit status 1: something is bad.`,
		Example: `  eventlog doctor
  eventlog doctor -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := store.Dir()
			if err != nil {
				return err
			}
			report := doctor.Directory(cmd.Context(), dir)
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
