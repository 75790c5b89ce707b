package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/internal/notify"
	"github.com/rollforward/rollforward/outbox"
)

// A site is where a command works: its log and its read model.
type site struct {
	store  cli.Store
	notify notify.Flag
	bells  *notify.Bells // while a command works that writes
	db     string
	given  *ledger // of the demonstration; nil: the household
}

func (s *site) addFlags(cmd *cobra.Command) {
	s.store.AddFlag(cmd)
	s.notify.AddPersistentFlag(cmd)
	cmd.PersistentFlags().StringVar(&s.db, "db", "", "SQLite `file` of the read model (default: where the log is)")
	_ = cmd.MarkPersistentFlagFilename("db") // the flag is there
}

// sagas returns the runner of the bank's sagas, which hears of what other
// processes commit.
func (s *site) sagas(log *eventlog.Log) *outbox.Runner {
	r := bank.Sagas(log)
	r.Wake, r.Topic = s.bells.Wake()
	return r
}

// with opens the log for fn. What fn commits wakes other processes.
func (s *site) with(cmd *cobra.Command, a cli.Access, fn func(ctx context.Context, log *eventlog.Log) error) (err error) {
	log, err := s.store.Open(cmd.Context(), a, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	if a != cli.Read {
		if s.bells, err = s.notify.Open(cmd, log, nil); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.bells.Close()) }()
		s.bells.Ring()
	}
	return fn(cmd.Context(), log)
}

// withReadModel opens the log and its read model for fn, and brings the read
// model up to date before: it is right without a daemon.
func (s *site) withReadModel(cmd *cobra.Command, a cli.Access, before func(context.Context, *eventlog.Log) error,
	fn func(ctx context.Context, log *eventlog.Log, m *bank.ReadModel) error) error {
	return s.with(cmd, a, func(ctx context.Context, log *eventlog.Log) (err error) {
		if before != nil {
			if err := before(ctx, log); err != nil {
				return err
			}
		}
		m, closing, err := s.readModel(ctx, log)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, closing()) }()
		if err := catchUp(ctx, cmd, m); err != nil {
			return err
		}
		return fn(ctx, log, m)
	})
}

// readModel opens the read model of the log: in Datastore beside a log that is there,
// otherwise in an SQLite file, in the log's directory unless one is named.
func (s *site) readModel(ctx context.Context, log *eventlog.Log) (m *bank.ReadModel, closing func() error, err error) {
	if s.store.HasDatabase() && s.db == "" {
		client, namespace, err := s.store.Dial(ctx)
		if err != nil {
			return nil, nil, err
		}
		m, err := bank.NewDatastoreReadModel(log, client, namespace)
		if err != nil {
			return nil, nil, errors.Join(err, client.Close())
		}
		return m, func() error { return errors.Join(m.Close(), client.Close()) }, nil
	}
	file := s.db
	if file == "" {
		dir, err := s.store.Dir()
		if err != nil {
			return nil, nil, err
		}
		file = bank.ReadModelFile(dir)
	}
	if m, err = bank.OpenReadModel(ctx, log, file); err != nil {
		return nil, nil, err
	}
	return m, m.Close, nil
}

// catchUp brings the read model up to date and tells how far it is.
func catchUp(ctx context.Context, cmd *cobra.Command, m *bank.ReadModel) error {
	p := cli.StartProgress(cmd.ErrOrStderr(), "read model", "commits")
	defer p.Stop()
	looking, stop := context.WithCancel(ctx)
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		for tick := time.Tick(500 * time.Millisecond); ; {
			select {
			case <-tick:
			case <-looking.Done():
				return
			}
			if done, total, err := m.Progress(looking); err == nil {
				p.Set(done, total)
			}
		}
	}()
	err := m.CatchUp(ctx)
	stop()
	<-looked
	return err
}

// amountArg reads AMOUNT.
func amountArg(s string) (int64, error) {
	amount, err := strconv.ParseInt(s, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, cli.Usage("amount %s does not fit into 64 bits", s)
	case err != nil:
		return 0, cli.Usage("amount %q is not a whole number of minor units", s)
	case amount <= 0:
		return 0, cli.Usage("amount %s is not positive", s)
	}
	return amount, nil
}

// dateArg reads a flag with a date; "" is none.
func dateArg(flag, s string) (bank.Date, error) {
	if s == "" {
		return "", nil
	}
	d, err := bank.ParseDate(s)
	if err != nil {
		return "", cli.Usage("--%s %q is not of the form %s", flag, s, time.DateOnly)
	}
	return d, nil
}

// money writes an amount for people.
func money(amount int64, currency string) string { return fmt.Sprintf("%d %s", amount, currency) }
