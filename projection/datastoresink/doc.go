// Package datastoresink keeps read models in Google Cloud Datastore (Firestore in
// Datastore mode): rows are entities of your own kinds, and commit with the
// checkpoint in one transaction.
//
//	var balances = datastoresink.Projection{
//		Name: "balances", Version: 1,
//		Reset: datastoresink.Empty,
//		Handlers: datastoresink.Handlers{
//			projection.On(func(tx *datastoresink.Tx, r eventlog.Record, e Posted) error {
//				key, b := datastore.NameKey("Balance", r.Stream, nil), Balance{}
//				if err := tx.Get(key, &b); err != nil && err != datastore.ErrNoSuchEntity {
//					return err
//				}
//				b.Cents += e.Amount
//				return tx.Put(key, &b)
//			}),
//		},
//	}
//
// A handler's [Tx] is like a datastore.Transaction that sees its own writes. It has
// no queries: they would not see what the transaction wrote, and lock what they
// pass.
//
// # Where the rows are
//
// Each Reset gives the projection an empty namespace of its own for its rows, so
// it is one small transaction however many rows there were. Handlers name keys
// without a namespace; readers ask [Sink.Namespace] and query there:
//
//	ns, err := sink.Namespace(ctx, "balances")
//	q := datastore.NewQuery("Balance").Namespace(ns).FilterField("Cents", "<", 0)
//
// Indexes are by kind, for all namespaces alike: a rebuild needs no new ones. What
// Resets leave behind is deleted by [Sink.Clear], some hundred rows a request, which
// somebody has to call: until then it is stored and paid for. A query in a namespace
// that is being cleared misses rows without an error, and one in a namespace that is
// being filled does not find all of them yet.
//
// # Limits
//
// What one transaction writes is limited ([Options].TxBytes); a batch that does not fit is
// applied in parts, commit by commit if it must. A single commit of the log whose
// rows do not fit stops its projection, with ErrTooLarge; so does a row that Datastore would
// not take, such as an indexed string of more than 1,500 bytes. Rows that handlers of
// several shards write are right, and slow: their transactions wait for each other
// or are repeated. Datastore keeps times to the microsecond.
//
// The sink's own kinds are called rollforward_…; they have no indexed properties.
// No composite index is needed.
package datastoresink
