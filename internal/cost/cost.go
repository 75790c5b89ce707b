// Package cost reckons what events on Google Cloud Datastore (Firestore in Datastore
// mode) cost, from how many share a block. Its operations are held against counted
// ones by the tests of eventlog/datastorelog.
package cost

// A Workload is events of a kind.
type Workload struct {
	Events int
	Block  int // events in a block
	Bytes  int // of an event as it is stored
	Keys   int // index keys of an event: its stream, and each tag, id and so on; none is shared in a block
	Rows   int // entities that a projection writes for an event
	Batch  int // events of a projection's transaction, which writes its checkpoint
}

// Operations are what the service charges for.
type Operations struct {
	Reads, Writes, Deletes int
	IndexEntries           int // written with the entities: they cost storage
}

// Prices are in a currency for 100,000 operations and a GiB a month.
type Prices struct {
	Reads, Writes, Deletes, Storage float64
}

// ListPrices are those of the multi-region nam5, in USD, as published in 2025.
// Regions cost about half. The free quota of each day is left out.
var ListPrices = Prices{Reads: 0.06, Writes: 0.18, Deletes: 0.02, Storage: 0.18}

// Append returns what it takes to append the events to streams that are known.
func Append(w Workload) Operations {
	blocks := ceil(w.Events, w.Block)
	return Operations{Writes: blocks, IndexEntries: 2 * (blocks + w.Events*w.Keys)}
}

// Replay returns what it takes to read all events.
func Replay(w Workload) Operations { return Operations{Reads: ceil(w.Events, w.Block)} }

// Project returns what it takes to read all events and to write a projection's
// rows and checkpoints into the same database.
func Project(w Workload) Operations {
	o := Replay(w)
	batches := ceil(w.Events, w.Batch)
	o.Writes = w.Events*w.Rows + batches
	o.Reads += w.Events*w.Rows + batches // each is read before it is written
	return o
}

// Price returns what operations cost.
func (p Prices) Price(o Operations) float64 {
	return (float64(o.Reads)*p.Reads + float64(o.Writes)*p.Writes + float64(o.Deletes)*p.Deletes) / 100_000
}

// Stored returns about how many bytes the events take: themselves, a block's
// properties, and for each index entry its name, value and key.
func Stored(w Workload) int {
	const perBlock, perKey, perEntry = 300, 50, 120
	return w.Events*(w.Bytes+w.Keys*perKey) + ceil(w.Events, w.Block)*perBlock + Append(w).IndexEntries*perEntry
}

// Keep returns what it costs to store the events for a month.
func (p Prices) Keep(w Workload) float64 { return float64(Stored(w)) / (1 << 30) * p.Storage }

func ceil(n, by int) int {
	by = max(1, by)
	return (n + by - 1) / by
}
