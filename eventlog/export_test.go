package eventlog

import "time"

// SetNow gives a log another wall clock.
func SetNow(o *Options, now func() time.Time) { o.now = now }

// TailTime is the time of the last durable commit of a shard, as far as a process knows.
func TailTime(l *Log, shard int) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Unix(0, l.lanes[shard].tailTime)
}
