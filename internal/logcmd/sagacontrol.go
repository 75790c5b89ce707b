package logcmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/internal/notify"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

// request is what is asked for with sagas cancel or sagas retry, as JSON.
type request struct {
	Saga  string     `json:"saga"`
	ID    string     `json:"id"`
	State saga.State `json:"state"` // when it was asked for
	Asked string     `json:"asked"`
	By    string     `json:"by"`
	Why   string     `json:"why,omitzero"`

	format cli.Format
	notify notify.Flag
	step   func(*request) outbox.Step
	refuse func(saga.Info) string // why there is nothing to do, ""
}

func newSagaCancel(store *cli.Store) *cobra.Command {
	r := &request{Asked: "cancel", format: cli.Table, refuse: refuseCancel, step: func(r *request) outbox.Step {
		return saga.Cancel{Saga: r.Saga, ID: r.ID, By: r.By, Reason: r.Why}
	}}
	cmd := &cobra.Command{
		Use:   "cancel SAGA ID",
		Short: "Ask that an instance goes back and ends",
		Long: `Cancel asks that an instance of a saga ends: the step under way is taken back, or
its outcome awaited, what was done is undone, and the instance ends as cancelled.
One that was not started, goes back already or has ended is an error, and nothing
is written.

Cancel writes the request down and runs nothing: a sagarunner that knows the saga
carries it out. An instance that ends or goes back before that stays as it is, and
its history says that it could not be cancelled: see "show".`,
		Example: `  eventlog sagas cancel transfer t1 --by ann --why "paid in cash"`,
	}
	return r.complete(cmd, store)
}

func newSagaRetry(store *cli.Store) *cobra.Command {
	r := &request{Asked: "retry", format: cli.Table, refuse: refuseRetry, step: func(r *request) outbox.Step {
		return saga.Retry{Saga: r.Saga, ID: r.ID, By: r.By, Reason: r.Why}
	}}
	cmd := &cobra.Command{
		Use:   "retry SAGA ID",
		Short: "Ask that a parked instance tries again what it could not do",
		Long: `Retry asks that a parked instance of a saga tries again what it could not do. One
that is not parked is an error, and nothing is written.

Retry writes the request down and runs nothing: a sagarunner that knows the saga
carries it out. An instance that is not parked any more by then stays as it is, and
its history says that there was nothing to retry: see "show".`,
		Example: `  eventlog sagas retry transfer t1 --by ann --why "the account is open again"`,
	}
	return r.complete(cmd, store)
}

// complete adds what both commands have.
func (r *request) complete(cmd *cobra.Command, store *cli.Store) *cobra.Command {
	cmd.Args = cobra.ExactArgs(2)
	cmd.ValidArgsFunction = completeSagas(store, 2, func(i saga.Info) bool { return r.refuse(i) == "" })
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return r.run(cmd, store, args) }
	f := cmd.Flags()
	f.StringVar(&r.By, "by", "", "`who` asks (default: the user and the host)")
	f.StringVar(&r.Why, "why", "", "the `reason`, which is kept")
	r.notify.AddFlag(cmd)
	r.format.AddFlag(cmd)
	noFiles(cmd, "by", "why")
	return cmd
}

func (r *request) run(cmd *cobra.Command, store *cli.Store, args []string) (err error) {
	if r.Saga, r.ID, err = checkInstance(args); err != nil {
		return err
	}
	if err := notEmpty(cmd, "by"); err != nil {
		return err
	}
	if r.By == "" {
		r.By = whoami()
	}
	return change(cmd, store, cli.Write, nil, &r.notify, r.ask)
}

// ask writes the request down.
func (r *request) ask(cmd *cobra.Command, l *eventlog.Log) error {
	chain, err := r.look(cmd, l)
	if err != nil {
		return err
	}
	_, err = l.Update(cmd.Context(), func(tx *eventlog.Tx) error {
		tx.Meta().Correlation = chain // so that the request is part of the instance's trace
		return outbox.Enqueue(tx, r.step(r))
	})
	if err != nil {
		return err
	}
	return r.report(cmd)
}

// look holds the request against where the instance stands, and returns its chain.
// Only the instance decides, later; but who asks for what makes no sense shall know
// it now.
func (r *request) look(cmd *cobra.Command, l *eventlog.Log) (chain eventlog.ID, err error) {
	i, err := showInstance(cmd.Context(), l, r.Saga, r.ID)
	if err != nil {
		return chain, err
	}
	if why := r.refuse(i); why != "" {
		return chain, fmt.Errorf("saga: %s %s/%s: %s", r.Asked, r.Saga, r.ID, why)
	}
	r.State = i.State
	return i.Chain, nil
}

func refuseCancel(i saga.Info) string {
	switch {
	case i.State == saga.Parked && i.Cause != "":
		return "it goes back already, and is parked: retry it"
	case i.State == saga.Compensating:
		return "it goes back already"
	case i.State == saga.Running || i.State == saga.Parked:
		return ""
	}
	return refuseAny(i)
}

func refuseRetry(i saga.Info) string {
	switch {
	case i.State == saga.Parked:
		return ""
	case i.State == saga.Running || i.State == saga.Compensating:
		return "it is " + string(i.State) + ", not parked"
	}
	return refuseAny(i)
}

func refuseAny(i saga.Info) string {
	if i.State == saga.Awaited {
		return "it was not started yet, only signals came for it"
	}
	return "it has ended: " + string(i.State)
}

func (r *request) report(cmd *cobra.Command) error {
	err := cli.WriteObject(cmd.OutOrStdout(), r.format, r, filled([]cli.Field{
		{Name: "saga", Value: r.Saga},
		{Name: "id", Value: r.ID},
		{Name: "state", Value: string(r.State)},
		{Name: "asked", Value: r.Asked},
		{Name: "by", Value: r.By},
		{Name: "why", Value: r.Why},
	}))
	fmt.Fprintln(cmd.ErrOrStderr(), "It is asked for and written down; a sagarunner that knows the saga carries it out.")
	return err
}
