// Command sagarunner runs the example bank's sagas. Run "sagarunner --help".
package main

import (
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/saga/sagarunner"
)

func main() { sagarunner.Main(sagarunner.Options{Handlers: bank.Handlers()}) }
