// Package datastoresink keeps read models in Google Cloud Datastore (Firestore in
// Datastore mode): rows are entities of kinds of yours, with native properties that
// every client can read and query, and commit with the checkpoint in one transaction.
//
//	type Balance struct{ Cents int64 }
//
//	var balances = datastoresink.Projection{
//		Name: "balances", Version: 1,
//		Reset: datastoresink.Clear("Balance"),
//		Handlers: datastoresink.Handlers{
//			projection.On(func(tx *datastoresink.Tx, r eventlog.Record, e Posted) error {
//				key, b := datastore.NameKey("Balance", r.Stream, nil), Balance{}
//				if err := tx.Get(key, &b); err != nil && err != datastore.ErrNoSuchEntity {
//					return err
//				}
//				b.Cents += e.Cents
//				_, err := tx.Put(key, &b)
//				return err
//			}),
//		},
//	}
//
//	sink := datastoresink.New(client, nil)
//	runner := &datastoresink.Runner{Log: log, Sink: sink, Projections: []datastoresink.Projection{balances}}
//
// A [Tx] is what handlers know of datastore.Transaction, except that it reads what
// earlier events of its batch have written, and reads each entity once. There are no
// queries in it, and no incomplete keys: a rebuilt row has to be the same row.
//
// A transaction costs one read and one write for the checkpoint beside those of the
// rows, once however many events change one of them. It takes 500 entities and 3.5 MiB;
// for more the runner takes fewer events at a time.
//
// [Clear] empties kinds. Where that is too much for one transaction it goes on in
// several: readers see the kind shrink, as they see it grow again afterwards, and
// nothing else can be applied meanwhile, also if the process ends in the middle of it.
// To have no gap, give the kind of the next version another name, build it under
// another projection's name, and switch readers over; switch them back to go back.
//
// It works in either concurrency mode of a database and needs no index.
package datastoresink
