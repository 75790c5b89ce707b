// Package projectiontest tests projections: given these events, when the
// projection has run, then these rows are there.
//
//	func TestBalances(t *testing.T) {
//		projectiontest.Given(t, "account/ada", Deposited{500}, Deposited{250}).
//			And("account/bob", Deposited{100}).
//			When(balances).
//			Then(`select account, cents from balance order by account`,
//				projectiontest.Row{"account/ada", 750},
//				projectiontest.Row{"account/bob", 100})
//	}
//
// When runs it in every way in which a read model comes about: live, while the
// events are appended one by one; in two halves, with a restart between; with
// each transaction rolled back once and repeated; shard by shard, from the last
// to the first; and rebuilt from the first event over what was there. All must
// leave the same rows in all tables. So a Reset that forgets a table, a handler
// that keeps something in memory, and rows that depend on an order that a log
// of several shards does not have are found without a word from the test.
//
// The read models are SQLite files in the test's temporary directory (package
// sqlsink, with modernc.org/sqlite, which this package registers).
package projectiontest
