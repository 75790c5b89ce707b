package logcmd

import (
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/rollforward/rollforward/internal/dsfake"
)

// cloud starts a Datastore until the script ends, and names a log in it.
func cloud(ts *testscript.TestScript, _ bool, _ []string) {
	s := dsfake.New(nil)
	ts.Defer(func() { _ = s.Close() })
	host, err := s.Listen()
	ts.Check(err)
	ts.Setenv("EVENTLOG_LOG", "datastore://project?namespace=tenant&emulator="+host)
}
