package eventlog

// Instance returns an id of this opening of the log: another one each time the
// log is opened, in whatever process. Libraries that keep leases in cells tell
// by it what the process before left behind.
func (l *Log) Instance() ID { return l.instance }

// Exclusive reports whether only this Log can write to its store as long as it
// is open: then whatever another Instance holds there, nobody holds any more.
func (l *Log) Exclusive() bool { return l.driver.Exclusive() }
