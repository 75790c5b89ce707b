package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/internal/cli"
)

// The books of the demonstration, and what another program makes of them.
var (
	//go:embed testdata/household-ledger.csv
	householdLedger string
	//go:embed testdata/household-balances.csv
	householdBalances string
)

// demo shows what the bank can do, in a new directory or a new log in Datastore. It fails
// when one of the bank's promises does not hold.
func (s *site) demo(cmd *cobra.Command, _ []string) error {
	if !cmd.Flags().Changed("log") {
		return demoInDirectory(cmd)
	}
	if !s.store.InDatastore() {
		return cli.Usage("the demonstration has a directory of its own; name a command to work on --log")
	}
	return s.with(cmd, cli.Create, func(ctx context.Context, log *eventlog.Log) (err error) {
		name, err := s.store.Name()
		if err != nil {
			return err
		}
		switch p, err := log.Position(ctx); {
		case err != nil:
			return err
		case !p.IsZero():
			return fmt.Errorf("there is something in %s already: give the demonstration a namespace of its own", name)
		}
		model, closing, err := s.readModel(ctx, log)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, closing()) }()
		return demonstrate(ctx, cmd.OutOrStdout(), name, log, model, s.ledger())
	})
}

func demoInDirectory(cmd *cobra.Command) (err error) {
	dir, err := os.MkdirTemp("", "bank-demo-")
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	store, err := pebblelog.Open(dir, nil)
	if err != nil {
		return err
	}
	log, err := eventlog.Open(ctx, store, nil)
	if err != nil {
		return errors.Join(err, store.Close())
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	model, err := bank.OpenReadModel(ctx, log, bank.ReadModelFile(dir))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, model.Close()) }()
	return demonstrate(ctx, cmd.OutOrStdout(), dir, log, model, household)
}

// demonstrate works on an empty log, whose name is for people.
func demonstrate(ctx context.Context, out io.Writer, name string, log *eventlog.Log, model *bank.ReadModel, books ledger) error {
	d := &demonstration{out: out, log: log, model: model, given: books}
	fmt.Fprintf(out, "A bank on an event log of %d shards, in %s\n", log.Shards(), name)
	if err := d.run(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nThe data stays in %s. Look at it:\n\n", name)
	if strings.ContainsAny(name, "?&") {
		name = "'" + name + "'"
	}
	for _, look := range []string{
		"examples/bank balances", "examples/bank statement %s judy", "examples/bank trace %s house", "examples/bank audit", "cmd/eventlog stats", "cmd/projector status",
	} {
		before, after, _ := strings.Cut(look, " %s")
		fmt.Fprintf(out, "  go run ./%s --log %s%s\n", before, name, after)
	}
	return nil
}

type demonstration struct {
	out   io.Writer
	log   *eventlog.Log
	model *bank.ReadModel
	other *otherBank
	given ledger
}

// A ledger is books to import, with the balances that another program made of them.
type ledger struct{ what, file, rows, balances string }

// ledger is what the demonstration of a log in Datastore begins with.
func (s *site) ledger() ledger {
	if s.given != nil {
		return *s.given
	}
	return household
}

var household = ledger{"ten years of a household", "household-ledger.csv", householdLedger, householdBalances}

// run goes through the chapters. Beside them, as in a real program, a runner
// brings the sagas forward and another keeps the read model up to date.
func (d *demonstration) run(ctx context.Context) error {
	runners := func(ctx context.Context, fn func(context.Context) error) error {
		return while(ctx, bank.Sagas(d.log).Run, func(ctx context.Context) error { return while(ctx, d.model.Run, fn) })
	}
	err := runners(ctx, func(ctx context.Context) error {
		other := newOtherBank()
		defer other.close()
		d.other = other
		return chapters(ctx, d.books, d.accounts, d.approval, d.orders, d.interest, d.send, d.transfers, d.sent)
	})
	if err != nil {
		return err
	}
	if err := errors.Join(bank.Finish(ctx, d.log, patience), d.model.CatchUp(ctx)); err != nil {
		return err
	}
	return chapters(ctx, d.balances, d.promises)
}

func chapters(ctx context.Context, list ...func(context.Context) error) error {
	for _, chapter := range list {
		if err := chapter(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (d *demonstration) title(s string) { fmt.Fprintf(d.out, "\n%s\n", s) }

func (d *demonstration) say(format string, args ...any) {
	fmt.Fprintf(d.out, "  "+format+"\n", args...)
}
