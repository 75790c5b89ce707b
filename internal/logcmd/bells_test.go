package logcmd

import (
	"strconv"

	"cloud.google.com/go/pubsub/v2/pstest"
	"github.com/rogpeppe/go-internal/testscript"
)

type scriptBells struct{}

// bells starts a Pub/Sub server that the commands of the script use.
func bells(ts *testscript.TestScript, _ bool, _ []string) {
	s := pstest.NewServer()
	ts.Defer(func() { _ = s.Close() })
	bellsOf(ts)[0] = s
	ts.Setenv("PUBSUB_EMULATOR_HOST", s.Addr)
}

// rung checks how many messages were published so far: so many, or up to a second number.
func rung(ts *testscript.TestScript, _ bool, args []string) {
	least, err := strconv.Atoi(args[0])
	ts.Check(err)
	most, err := strconv.Atoi(args[len(args)-1])
	ts.Check(err)
	if got := len(bellsOf(ts)[0].Messages()); got < least || got > most {
		ts.Fatalf("%d messages, want %v", got, args)
	}
}

func bellsOf(ts *testscript.TestScript) []*pstest.Server {
	return ts.Value(scriptBells{}).([]*pstest.Server)
}
