// Command eventlog looks at, writes to, checks, copies and measures the event
// log in a directory. Run "eventlog --help".
package main

import "github.com/rollforward/rollforward/internal/logcmd"

func main() { logcmd.Main() }
