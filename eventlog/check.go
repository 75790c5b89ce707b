package eventlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// CheckOptions say how Check works. nil is the default.
type CheckOptions struct {
	// Progress is called now and then with the number of commits and index
	// entries checked so far, and how many there are in all.
	Progress func(done, total int64)
}

// Check reads a whole log and holds it against what the log promises: revisions
// and versions without gaps, times that rise in every shard, bytes that are what
// was written, every index key with its commit and every commit with its keys.
// It names the first damage of each shard. Commits that come while it runs are
// not looked at. Relaxed appends that wait to be folded are looked at too, and that
// none was folded twice.
func Check(ctx context.Context, l *Log) error { return CheckWith(ctx, l, nil) }

// CheckWith is Check with options.
func CheckWith(ctx context.Context, l *Log, o *CheckOptions) error {
	c := &checker{log: l}
	if o != nil {
		c.report = o.Progress
	}
	at, err := l.Position(ctx)
	if err != nil {
		return err
	}
	for s := range l.Shards() {
		c.total += 2 * int64(at.Revision(s))
	}
	var errs []error
	for s := range l.Shards() {
		if err := errors.Join(c.shard(ctx, s, at.Revision(s)), c.loose(ctx, s)); err != nil {
			errs = append(errs, fmt.Errorf("eventlog: check: %w", err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

type checker struct {
	log         *Log
	report      func(done, total int64)
	done, total int64
}

func (c *checker) progress() {
	if c.done++; c.report != nil && c.done%1024 == 0 {
		c.report(min(c.done, c.total), c.total)
	}
}

// shard checks one shard up to a tail. The keys of its commits and the entries
// of its index are the same set when they have the same tally; only when they
// have not is each looked up in the other, to name the damage.
func (c *checker) shard(ctx context.Context, shard int, tail driver.Revision) error {
	streams := make(map[string]uint64) // their versions
	keys, err := c.commits(ctx, shard, tail, streams)
	if err != nil {
		return err
	}
	entries, err := c.index(ctx, shard, tail, streams)
	if err != nil || keys == entries {
		return err
	}
	if err := c.missing(ctx, shard, tail); err != nil {
		return err
	}
	if err := c.stray(ctx, shard, tail); err != nil {
		return err
	}
	return fmt.Errorf("shard %d: %d keys in commits, %d entries in the index", shard, keys.n, entries.n)
}

// A tally stands for a set of (key, revision) in any order: their number and the
// sum of their hashes.
type tally struct {
	n   int
	sum uint64
}

func (t *tally) add(key string, rev driver.Revision) {
	h := xxhash.Sum64String(key) + uint64(rev)*0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9 // as in splitmix64
	h = (h ^ h>>27) * 0x94d049bb133111eb
	t.n++
	t.sum += h ^ h>>31
}

// commits checks the commits of a shard one after another and tallies their
// keys. It fills in the versions of the streams.
func (c *checker) commits(ctx context.Context, shard int, tail driver.Revision, streams map[string]uint64) (keys tally, err error) {
	next, last := driver.Revision(1), int64(0)
	for raw, err := range c.log.driver.Read(ctx, shard, driver.Range{From: 1, To: uint64(tail) + 1}) {
		if err != nil {
			return keys, err
		}
		if raw.Revision != next {
			return keys, corrupt(shard, next, "missing; the next one is %d", raw.Revision)
		}
		commit, err := decodeCommit(shard, raw.Revision, raw.Data)
		if err != nil {
			return keys, err
		}
		if commit.time <= last {
			return keys, corrupt(shard, next, "time %d does not rise over %d", commit.time, last)
		}
		spans := commit.streams(nil)
		for _, s := range spans {
			if home := shardOf(s.name, c.log.Shards()); home != shard {
				return keys, corrupt(shard, next, "stream %s belongs to shard %d", s.name, home)
			}
			if have := streams[s.name]; s.first != have+1 {
				return keys, corrupt(shard, next, "%s goes from version %d to %d", s.name, have, s.first)
			}
		}
		for _, a := range commit.relaxed {
			if a.seen >= next && commit.carries() {
				return keys, corrupt(shard, next, "folds an append that saw revision %d", a.seen)
			}
		}
		for _, k := range commit.appendKeys(nil, spans, raw.Revision, c.log.opts.Index) {
			if keys.add(k.Name, raw.Revision); isStream(k.Name) {
				streams[strings.Clone(k.Name)] = k.Pos // the name is a piece of the commit
			}
		}
		next, last = next+1, commit.time
		c.progress()
	}
	if next != tail+1 {
		return keys, corrupt(shard, next, "missing; the tail is %d", tail)
	}
	return keys, nil
}

func corrupt(shard int, rev driver.Revision, format string, args ...any) error {
	return &driver.CorruptError{Shard: shard, Revision: rev, Reason: fmt.Sprintf(format, args...)}
}

// index tallies the entries of a shard's index. Those of a key must lead from
// commit to commit, and the last must stand at the right position.
func (c *checker) index(ctx context.Context, shard int, tail driver.Revision, streams map[string]uint64) (entries tally, err error) {
	for k, err := range c.log.driver.Keys(ctx, shard, "", "") {
		if err != nil {
			return entries, err
		}
		last, newer := driver.Revision(0), false
		for raw, err := range c.log.driver.Find(ctx, shard, k.Name, driver.Range{}) {
			if err != nil {
				return entries, fmt.Errorf("shard %d: key %q: %w", shard, k.Name, err)
			}
			if newer = raw.Revision > tail; newer {
				break
			}
			if raw.Revision <= last {
				return entries, corrupt(shard, last, "key %q leads from here to revision %d", k.Name, raw.Revision)
			}
			if last > 0 && strings.HasPrefix(k.Name, looseKeys) {
				return entries, corrupt(shard, raw.Revision, "folds the relaxed appends %s, which were folded in revision %d", k.Name[len(looseKeys):], last)
			}
			last = raw.Revision
			entries.add(k.Name, last)
			c.progress()
		}
		pos, known := uint64(last), true
		if isStream(k.Name) {
			pos, known = streams[k.Name]
		}
		if known && !newer && k.Pos != pos {
			return entries, corrupt(shard, last, "key %q ends at position %d, not %d", k.Name, k.Pos, pos)
		}
	}
	return entries, nil
}

// loose reads the relaxed appends of a shard that are not folded.
func (c *checker) loose(ctx context.Context, shard int) error {
	var errs []error
	for raw, err := range c.log.driver.Cells(ctx, looseShard(shard), behind(looseShard(shard)), 0) {
		if err == nil {
			_, err = decodeLoose(shard, c.log.Shards(), raw)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// missing looks for a key of a commit that does not lead to it.
func (c *checker) missing(ctx context.Context, shard int, tail driver.Revision) error {
	for raw, err := range c.log.driver.Read(ctx, shard, driver.Range{From: 1, To: uint64(tail) + 1}) {
		if err != nil {
			return err
		}
		commit, err := decodeCommit(shard, raw.Revision, raw.Data)
		if err != nil {
			return err
		}
		for _, k := range commit.keys(raw.Revision, c.log.opts.Index) {
			at := driver.Revision(0)
			for found, err := range c.log.driver.Find(ctx, shard, k.Name, driver.Range{From: k.Pos, To: k.Pos + 1}) {
				if err != nil {
					return err
				}
				at = found.Revision
			}
			if at != raw.Revision {
				return corrupt(shard, raw.Revision, "not indexed under %q at position %d", k.Name, k.Pos)
			}
		}
	}
	return nil
}

// stray looks for an entry of the index whose commit lacks the key.
func (c *checker) stray(ctx context.Context, shard int, tail driver.Revision) error {
	for k, err := range c.log.driver.Keys(ctx, shard, "", "") {
		if err != nil {
			return err
		}
		for raw, err := range c.log.driver.Find(ctx, shard, k.Name, driver.Range{}) {
			if err != nil {
				return err
			}
			if raw.Revision > tail {
				break
			}
			commit, err := decodeCommit(shard, raw.Revision, raw.Data)
			if err != nil {
				return err
			}
			named := func(own driver.Key) bool { return own.Name == k.Name }
			if !slices.ContainsFunc(commit.keys(raw.Revision, c.log.opts.Index), named) {
				return corrupt(shard, raw.Revision, "indexed under %q, which it lacks", k.Name)
			}
		}
	}
	return nil
}
