// Package bank is an example to read: accounts, imported books, transfers with
// approval and fees, standing orders, interest, payments to other banks, and a read
// model, on an event log. Read it in this order:
//
//   - event.go: what can happen to an account;
//   - account.go: what it adds up to, and the rules of money, a pure function;
//   - command.go: what one can do. A command is a function that takes the
//     transaction first, loads what it decides on, and appends;
//   - name.go, own.go: how a name that users choose becomes the name of a stream,
//     and which accounts are the bank's own;
//   - transaction.go, journal.go, row.go, import.go: books. A transaction of many
//     accounts is one commit over all their shards; a stream of its own makes
//     it idempotent;
//   - terms.go, transfer.go, approval.go, fee.go: a saga, for what shall not be one
//     commit; it waits for a person, and has a child;
//   - date.go, order.go, standing.go: standing orders, which are timers;
//   - round.go, interest.go, accrual.go: the interest of a month, a saga with a child
//     for each account;
//   - payment.go, otherbank.go: a saga with a step outside of the log;
//   - sagas.go, finish.go: what runs all of these;
//   - readmodel.go, sqlprojections.go, sqltables.go: balances and statements in SQLite;
//   - datastoreprojections.go, datastoretables.go, keyname.go: the same in Datastore;
//   - replay.go, moment.go, leg.go, audit.go and the audit….go beside it: the
//     promises, and how one holds the whole bank against them;
//   - trouble_test.go and the other tests: how it is tested where everything goes
//     wrong at times, by package sagatest.
//
// Amounts are whole numbers of a currency's minor units. Every posting has its
// counterpart, so all accounts of a currency always sum to zero, but for
// transfers that are between their debit and their credit.
package bank
