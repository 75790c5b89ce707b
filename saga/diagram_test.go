package saga_test

import (
	"fmt"

	"github.com/rollforward/rollforward/saga"
)

func ExampleSaga_Diagram() {
	text, err := booking.Diagram()
	fmt.Print(text, err)
	// Output:
	// ---
	// title: "booking, version 1"
	// ---
	// flowchart TD
	//   start([start]) --> s0
	//   s0["hotel<br>can be undone"]
	//   s1["flight"]
	//   done([completed])
	//   s0 --> s1
	//   s1 --> done
	// <nil>
}

var _ saga.Info
