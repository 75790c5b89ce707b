package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/outbox"
)

func newLoad(s *site) *cobra.Command {
	l := load{}
	format := cli.Table
	cmd := &cobra.Command{
		Use:   "load",
		Short: "Make random transfers for a while",
		Long: `Load makes random transfers between its own accounts, each client one after the
other, and waits for the end of each. Some accounts are frozen or closed, so
some transfers are refunded; some have a limit or pay fees, and some transfers
are made by standing orders. On those that wait for approval it decides at
random, at first on what an earlier load left waiting. The log is made where
there is none.

With --acks the id of every transfer is appended to a file, a line each, synced,
as soon as its start is acknowledged: "bank audit --acks" finds all of them,
also when load was killed. What it left under way, the next load or audit brings
to its end.`,
		Example: `  bank load --log data --clients 64 --duration 10s --acks acks.txt
  bank audit --log data --acks acks.txt`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if l.clients < 1 || l.accounts < 2 || l.duration < 0 {
				return cli.Usage("load needs 1 client, 2 accounts and a duration of 0 at least")
			}
			return s.with(cmd, cli.Create, func(ctx context.Context, log *eventlog.Log) error {
				return l.run(ctx, cmd, s.sagas(log), format)
			})
		},
	}
	cmd.Flags().IntVar(&l.clients, "clients", 16, "`number` of transfers under way at a time")
	cmd.Flags().DurationVar(&l.duration, "duration", 10*time.Second, "for how long transfers are started")
	cmd.Flags().StringVar(&l.acks, "acks", "", "`file` that ids of acknowledged transfers are appended to")
	cmd.Flags().BoolVar(&l.apart, "without-sagas", false, "leave the transfers to other processes, such as sagarunner, which bring them to their end")
	cmd.Flags().IntVar(&l.accounts, "accounts", 100, "`number` of accounts")
	format.AddFlag(cmd)
	return cmd
}

// A load is what the flags ask for.
type load struct {
	clients, accounts int
	duration          time.Duration
	acks              string
	apart             bool // it runs no sagas itself
}

func (l *load) run(ctx context.Context, cmd *cobra.Command, sagas *outbox.Runner, format cli.Format) (err error) {
	log := sagas.Log
	var acks *acks
	if l.acks != "" {
		if acks, err = openAcks(l.acks); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, acks.close()) }()
	}
	accounts, err := openAccounts(ctx, log, l.accounts)
	if err != nil {
		return err
	}
	waiting, err := waitingTransfers(ctx, log)
	if err != nil {
		return err
	}
	t := &traffic{log: log, clients: l.clients, duration: l.duration, pick: func() bank.Transfer { return anyTransfer(accounts) }}
	if acks != nil {
		t.started = func(id string) error { return acks.append(id) }
	}
	p := cli.StartProgress(cmd.ErrOrStderr(), "load", "transfers")
	t.ended = func(n int64) { p.Set(n, 0) }
	// SIGTERM ends the starting of transfers; those under way are brought to their end.
	work := context.WithoutCancel(ctx)
	runner := sagas.Run
	if l.apart {
		runner = func(ctx context.Context) error { <-ctx.Done(); return nil }
	}
	err = while(work, runner, func(work context.Context) error {
		for _, id := range waiting {
			if err := decideAtRandom(work, log, id); err != nil {
				return err
			}
		}
		return t.run(ctx, work)
	})
	p.Stop()
	if err == nil && !l.apart {
		err = bank.Finish(work, log, patience)
	}
	if err != nil {
		return err
	}
	return t.result().write(cmd.OutOrStdout(), format)
}

// patience is how long commands wait for steps that failed for technical reasons.
const patience = 30 * time.Second

const (
	loadAccount  = "load:" // begins the names of the accounts
	loadCurrency = "EUR"
	loadBalance  = 100_00
)

// openAccounts makes sure that the accounts of the load are there.
func openAccounts(ctx context.Context, log *eventlog.Log, n int) ([]bank.AccountID, error) {
	ids := make([]bank.AccountID, n)
	for i := range ids {
		ids[i] = bank.AccountID{Name: fmt.Sprintf(loadAccount+"%04d", i), Currency: loadCurrency}
		_, err := log.Update(ctx, func(tx *eventlog.Tx) error {
			if err := bank.Open(tx, ids[i], bank.Customer); errors.Is(err, bank.ErrExists) {
				return nil
			} else if err != nil {
				return err
			}
			switch i % 25 {
			case 7:
				return bank.Freeze(tx, ids[i])
			case 19:
				return bank.Close(tx, ids[i])
			}
			if err := bank.Agree(tx, ids[i], loadTerms[i%len(loadTerms)]); err != nil {
				return err
			}
			return bank.Deposit(tx, ids[i], loadBalance, "", "to begin with")
		})
		if err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// loadTerms are those of the accounts, one after the other.
var loadTerms = []bank.Terms{{}, {Limit: 15_00}, {Flat: 10, Rate: 50}, {}, {Limit: 10_00, Rate: 100}}

// waitingTransfers lists what an earlier load has left waiting for approval.
func waitingTransfers(ctx context.Context, log *eventlog.Log) (ids []string, err error) {
	for st, err := range bank.Transfers.Instances(ctx, log) {
		if err != nil {
			return nil, err
		}
		if bank.Waiting(st) && strings.HasPrefix(st.Data.From, loadAccount) {
			ids = append(ids, st.ID)
		}
	}
	return ids, nil
}

func anyTransfer(accounts []bank.AccountID) bank.Transfer {
	from := mathrand.IntN(len(accounts))
	to := (from + 1 + mathrand.IntN(len(accounts)-1)) % len(accounts)
	return bank.Transfer{ID: rand.Text(), From: accounts[from].Name, To: accounts[to].Name, Currency: loadCurrency,
		Amount: 1 + mathrand.Int64N(loadBalance/5)}
}
