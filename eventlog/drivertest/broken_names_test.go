package drivertest_test

import (
	"context"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/rollforward/rollforward/eventlog/driver"
)

var brokenNames = map[string]mutant{
	"ignores case":    {promises: []string{"NamesOfKeys", "NamesOfCells", "KeysPrefix", "FindKey"}, wrap: renames(strings.ToLower)},
	"trims space":     {promises: []string{"NamesOfKeys", "NamesOfCells", "Model"}, wrap: renames(strings.TrimSpace)},
	"cuts at @":       {promises: []string{"NamesOfKeys", "Model"}, wrap: renames(func(s string) string { return cutName(s, "@") })},
	"cuts at |":       {promises: []string{"NamesOfKeys", "NamesAcrossShards", "Model"}, wrap: renames(func(s string) string { return cutName(s, "|") })},
	"cuts long names": {promises: []string{"NamesLong"}, wrap: renames(func(s string) string { return s[:min(len(s), driver.MaxName-1)] })},
	"one namespace":   {promises: []string{"CellsApart"}, wrap: func(log driver.Log) driver.Log { return oneNamespace{log, new(sync.Map)} }},
	"mixes up shards": {promises: []string{"ReadShard", "WriteShards", "FindKey", "NamesAcrossShards"},
		wrap: func(log driver.Log) driver.Log { return oneDigit{log} }},
}

// renaming changes names on their way in.
type renaming struct {
	driver.Log
	rename func(string) string
}

func (b renaming) Write(ctx context.Context, w driver.Write) error {
	w.Batches = slices.Clone(w.Batches)
	for i := range w.Batches {
		w.Batches[i].Commits = slices.Clone(w.Batches[i].Commits)
		for j := range w.Batches[i].Commits {
			c := &w.Batches[i].Commits[j]
			byName := make(map[string]uint64)
			for _, k := range c.Keys {
				byName[b.rename(k.Name)] = max(k.Pos, byName[b.rename(k.Name)])
			}
			c.Keys = nil
			for name, pos := range byName {
				c.Keys = append(c.Keys, driver.Key{Name: name, Pos: pos})
			}
		}
	}
	w.Cells = slices.Clone(w.Cells)
	for i := range w.Cells {
		w.Cells[i].Cell.Key = b.rename(w.Cells[i].Cell.Key)
	}
	return b.Log.Write(ctx, w)
}

func (b renaming) Find(ctx context.Context, shard int, key string, r driver.Range) iter.Seq2[driver.Commit, error] {
	return b.Log.Find(ctx, shard, b.rename(key), r)
}

func renames(f func(string) string) func(driver.Log) driver.Log {
	return func(log driver.Log) driver.Log { return renaming{log, f} }
}

// cutName is name up to sep, where something stands before it.
func cutName(name, sep string) string {
	if i := strings.Index(name, sep); i > 0 {
		return name[:i]
	}
	return name
}

// oneDigit uses the last digit of a shard's number.
type oneDigit struct{ driver.Log }

func (b oneDigit) Read(ctx context.Context, shard int, r driver.Range) iter.Seq2[driver.Commit, error] {
	return b.Log.Read(ctx, shard%10, r)
}

func (b oneDigit) Find(ctx context.Context, shard int, key string, r driver.Range) iter.Seq2[driver.Commit, error] {
	return b.Log.Find(ctx, shard%10, key, r)
}

// oneNamespace hides keys whose name a deleted cell had.
type oneNamespace struct {
	driver.Log
	deleted *sync.Map
}

func (b oneNamespace) Write(ctx context.Context, w driver.Write) error {
	for _, op := range w.Cells {
		if op.Op == driver.Delete {
			b.deleted.Store(op.Cell.Key, true)
		}
	}
	return b.Log.Write(ctx, w)
}

func (b oneNamespace) Keys(ctx context.Context, shard int, prefix, after string) iter.Seq2[driver.Key, error] {
	return through(func(_ int, k driver.Key) (driver.Key, bool) {
		_, gone := b.deleted.Load(k.Name)
		return k, !gone
	})(b.Log.Keys(ctx, shard, prefix, after))
}
