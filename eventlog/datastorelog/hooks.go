package datastorelog

import "time"

// Hooks observe a log. They are called without locks held, by the goroutine that
// does the work: they must return quickly and must not call the log.
type Hooks struct {
	// Call is called after each call to the service.
	Call func(CallInfo)
	// Lost is called when a Write lost the race for its place in a shard.
	Lost func(shard int)
}

// CallInfo describes one call to the service.
type CallInfo struct {
	Method   string // "Lookup", "RunQuery", "Commit", "BeginTransaction", "Rollback"
	Code     string // as gRPC names it: "OK", "AlreadyExists", …
	Duration time.Duration
	Usage    Usage
}

// Usage counts what the service charges for, as reckoned from what was asked and
// answered. What failed counts nothing, though an attempt to read may be charged.
type Usage struct {
	Reads        int // entities, those too that were not found; one for a query that finds none
	Writes       int // entities
	Deletes      int // entities
	IndexEntries int // written: two for each indexed value, one rising and one falling
	Small        int // results of queries that the index answers alone
}

// Add returns the sum of both.
func (u Usage) Add(v Usage) Usage {
	return Usage{u.Reads + v.Reads, u.Writes + v.Writes, u.Deletes + v.Deletes, u.IndexEntries + v.IndexEntries, u.Small + v.Small}
}
