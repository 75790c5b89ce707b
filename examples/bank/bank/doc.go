// Package bank is an example to read: accounts, imported books, transfers, and a
// read model, on an event log. Read it in this order:
//
//   - event.go: what can happen to an account;
//   - account.go: what it adds up to, and the rules of money, a pure function;
//   - command.go: what one can do. A command is a function that takes the
//     transaction first, loads what it decides on, and appends;
//   - name.go: how a name that users choose becomes the name of a stream;
//   - transaction.go, journal.go, row.go, import.go: books. A transaction of many
//     accounts is one commit over all their shards; a stream of its own makes
//     it idempotent;
//   - transfer.go: a saga, for what shall not be one commit;
//   - projections.go, readmodel.go: balances and statements in SQLite;
//   - replay.go, moment.go, audit.go, finish.go: the promises, and how one holds
//     the whole bank against them.
//
// Amounts are whole numbers of a currency's minor units. Every posting has its
// counterpart, so all accounts of a currency always sum to zero, but for
// transfers that are between their debit and their credit.
package bank
