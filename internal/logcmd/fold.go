package logcmd

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/cli"
)

// folded is what fold prints.
type folded struct {
	Appends  int               `json:"appends"`
	Events   int               `json:"events"`
	Repeated int               `json:"repeated"` // their ids were taken
	Position eventlog.Position `json:"position"`
}

func newFold(store *cli.Store) *cobra.Command {
	format := cli.Table
	cmd := &cobra.Command{
		Use:   "fold",
		Short: "Give relaxed appends their places",
		Long: `Fold gives the appends that wait in the log without a place (append --relaxed)
their places, each once. A sagarunner does so all the time, and every program that
appends relaxed does for what it appended.`,
		Example: `  eventlog fold`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			var done folded
			o := &eventlog.Options{FoldAfter: -1, Hooks: eventlog.Hooks{Fold: func(f eventlog.FoldInfo) {
				done.Appends += f.Appends
				done.Events += f.Events
				done.Repeated += f.Repeated
			}}}
			l, err := store.Open(cmd.Context(), cli.Write, o)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, l.Close()) }()
			if done.Position, err = l.Fold(cmd.Context()); err != nil {
				return err
			}
			return cli.WriteObject(cmd.OutOrStdout(), format, &done, []cli.Field{
				{Name: "appends", Value: cli.Count(int64(done.Appends))},
				{Name: "events", Value: cli.Count(int64(done.Events))},
				{Name: "repeated", Value: cli.Count(int64(done.Repeated))},
				{Name: "position", Value: done.Position.String()},
			})
		},
	}
	format.AddFlag(cmd)
	return cmd
}
