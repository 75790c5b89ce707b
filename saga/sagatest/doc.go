// Package sagatest tests sagas, and whatever else an outbox rolls forward, against
// all that can go wrong between its steps: crashes between any two calls of the
// store, answers that get lost, writes that arrive late, messages that come twice,
// late and out of order, processes that take each other's work over.
//
//	func TestTransfer(t *testing.T) {
//		sagatest.Run(t, transfer.Handlers(), nil, func(w *sagatest.World) {
//			w.Given("account/a", Opened{}, Posted{100})
//			w.Given("account/b", Opened{})
//			w.When(func(tx *eventlog.Tx) error { return transfer.Start(tx, "1", Transfer{"account/a", "account/b", 70}) })
//			w.Then("account/a", Opened{}, Posted{100}, Posted{-70})
//			w.Then("account/b", Opened{}, Posted{70})
//			sagatest.Ended(w, &transfer, "1", saga.Completed)
//		})
//	}
//
// The scenario runs once without faults, and then once for each of some seeds, in a
// subtest each, in which everything that the store and the processes do goes wrong at
// times. What it expects must hold each time. It runs in a bubble of testing/synctest:
// its clock is virtual, so waiting for a day takes no time, and the test ends when
// nothing is left to do.
//
// # Seeds
//
// A seed decides in which order the calls of the store are made, which of them fail
// and how, where processes die, and which messages of sagas are repeated or late. A
// run that fails names its seed, and `go test -run 'TestTransfer/seed=7$'` repeats it.
// What a seed does not decide is what a program draws itself: ids and the random part
// of pauses between attempts.
//
// A handler that holds a lock while it reads or writes through its transaction stops
// such a test: nothing in a bubble may wait for a lock that is held by one who waits.
//
// [Replay] holds recorded sagas against a changed definition.
package sagatest
