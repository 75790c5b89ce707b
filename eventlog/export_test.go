package eventlog

import "time"

// SetNow gives a log another wall clock.
func SetNow(o *Options, now func() time.Time) { o.now = now }
