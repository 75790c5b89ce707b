// Command projector keeps the example bank's read models up to date. Run
// "projector --help".
package main

import (
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/projection/projector"
)

func main() {
	projector.Main(projector.Options{Projections: bank.Projections(), Datastore: bank.DatastoreProjections(), DB: bank.ReadModelFile})
}
