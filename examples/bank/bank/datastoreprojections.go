package bank

import (
	"errors"
	"fmt"

	"cloud.google.com/go/datastore"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/datastoresink"
)

// DatastoreProjections returns the bank's read models in Datastore: the rows of
// Projections as entities.
func DatastoreProjections() []datastoresink.Projection {
	return []datastoresink.Projection{balanceEntities, postingEntities}
}

// A balanceEntity is an account: Account/Balance, named by name and currency.
type balanceEntity struct {
	Account  string `datastore:",noindex"`
	Currency string `datastore:",noindex"`
	Kind     string
	State    string
	Cents    int64
}

// A statementEntity says how far the statement of an account goes: Account/Statement. By
// it the postings are known, and no query is needed for them.
type statementEntity struct {
	Lines int64 `datastore:",noindex"`
	Cents int64 `datastore:",noindex"` // the balance behind them
}

// A postingEntity is a line of a statement: Account/Statement/Posting, with the number of
// the line as its id.
type postingEntity struct {
	Account     string `datastore:",noindex"`
	Currency    string `datastore:",noindex"`
	Version     int64  `datastore:",noindex"`
	Date        string
	Transaction string `datastore:",noindex"`
	Saga        string `datastore:",noindex"`
	Description string `datastore:",noindex"`
	Amount      int64
	Balance     int64 `datastore:",noindex"`
}

const (
	accountEntity = "Account" // there is none; it is above what belongs to a name
	balanceKind   = "Balance"
	statementKind = "Statement"
	postingKind   = "Posting"
)

var balanceEntities = datastoresink.Projection{
	Name: balancesName, Version: 1, Reset: datastoresink.Empty,
	Handlers: datastoresink.Handlers{
		projection.On(func(tx *datastoresink.Tx, r eventlog.Record, e AccountOpened) error {
			id, key, err := balanceOf(r)
			if err != nil {
				return err
			}
			if err := tx.Get(key, new(balanceEntity)); !errors.Is(err, datastore.ErrNoSuchEntity) {
				return errors.Join(fmt.Errorf("%s is there already", id), err)
			}
			return tx.Put(key, &balanceEntity{id.Name, id.Currency, string(e.Kind), string(Opened), 0})
		}),
		projection.On(func(tx *datastoresink.Tx, r eventlog.Record, e Posted) error {
			return changeBalance(tx, r, func(b *balanceEntity) { b.Cents += e.Amount })
		}),
		projection.On(func(tx *datastoresink.Tx, r eventlog.Record, _ AccountFrozen) error {
			return changeBalance(tx, r, func(b *balanceEntity) { b.State = string(Frozen) })
		}),
		projection.On(func(tx *datastoresink.Tx, r eventlog.Record, _ AccountThawed) error {
			return changeBalance(tx, r, func(b *balanceEntity) { b.State = string(Opened) })
		}),
		projection.On(func(tx *datastoresink.Tx, r eventlog.Record, _ AccountClosed) error {
			return changeBalance(tx, r, func(b *balanceEntity) { b.State = string(Closed) })
		}),
	},
}

// changeBalance changes a row that must be there: a read model that disagrees with
// the log stops rather than goes on.
func changeBalance(tx *datastoresink.Tx, r eventlog.Record, change func(*balanceEntity)) error {
	id, key, err := balanceOf(r)
	if err != nil {
		return err
	}
	var b balanceEntity
	if err := tx.Get(key, &b); err != nil {
		return fmt.Errorf("%s: %w", id, err)
	}
	change(&b)
	return tx.Put(key, &b)
}

func balanceOf(r eventlog.Record) (AccountID, *datastore.Key, error) {
	id, ok := ParseStream(r.Stream)
	if !ok {
		return id, nil, fmt.Errorf("%s is not the stream of an account", r.Stream)
	}
	return id, datastore.NameKey(balanceKind, keyName(id.Currency), accountKey(id.Name)), nil
}

var postingEntities = datastoresink.Projection{
	Name: statementsName, Version: 2, Reset: datastoresink.Empty,
	Handlers: datastoresink.Handlers{
		projection.On(func(tx *datastoresink.Tx, r eventlog.Record, e Posted) error {
			id, ok := ParseStream(r.Stream)
			if !ok {
				return fmt.Errorf("%s is not the stream of an account", r.Stream)
			}
			var end statementEntity
			statement := datastore.NameKey(statementKind, keyName(id.Currency), accountKey(id.Name))
			if err := tx.Get(statement, &end); err != nil && !errors.Is(err, datastore.ErrNoSuchEntity) {
				return err
			}
			end.Lines++
			end.Cents += e.Amount
			return errors.Join(
				tx.Put(statement, &end),
				tx.Put(datastore.IDKey(postingKind, end.Lines, statement), &postingEntity{id.Name, id.Currency, int64(r.Version),
					string(e.day(r)), e.Transaction, e.Saga, e.Description, e.Amount, end.Cents}))
		}),
	},
}

func accountKey(name string) *datastore.Key {
	return datastore.NameKey(accountEntity, keyName(name), nil)
}
