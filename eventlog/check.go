package eventlog

import (
	"context"
	"errors"
	"fmt"

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
// not looked at.
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
		if err := c.shard(ctx, s, at.Revision(s)); err != nil {
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
// of its index are the same set when each entry is right and there are as many.
func (c *checker) shard(ctx context.Context, shard int, tail driver.Revision) error {
	keys, err := c.commits(ctx, shard, tail)
	if err != nil {
		return err
	}
	entries, err := c.index(ctx, shard, tail)
	if err != nil {
		return err
	}
	if keys != entries {
		return fmt.Errorf("shard %d: %d keys in commits, %d entries in the index", shard, keys, entries)
	}
	return nil
}

// commits checks the commits of a shard one after another and counts their keys.
func (c *checker) commits(ctx context.Context, shard int, tail driver.Revision) (keys int, err error) {
	next, last := driver.Revision(1), int64(0)
	versions := make(map[string]uint64)
	for raw, err := range c.log.driver.Read(ctx, shard, driver.Range{From: 1, To: uint64(tail) + 1}) {
		if err != nil {
			return keys, err
		}
		corrupt := func(format string, args ...any) error {
			return &driver.CorruptError{Shard: shard, Revision: next, Reason: fmt.Sprintf(format, args...)}
		}
		if raw.Revision != next {
			return keys, corrupt("missing; the next one is %d", raw.Revision)
		}
		commit, err := decodeCommit(shard, raw.Revision, raw.Data)
		if err != nil {
			return keys, err
		}
		if commit.time <= last {
			return keys, corrupt("time %d does not rise over %d", commit.time, last)
		}
		for _, s := range commit.streams() {
			if shardOf(s.name, c.log.Shards()) != shard {
				return keys, corrupt("stream %s belongs to shard %d", s.name, shardOf(s.name, c.log.Shards()))
			}
			if have := versions[s.name]; s.first != have+1 {
				return keys, corrupt("%s goes from version %d to %d", s.name, have, s.first)
			}
		}
		for _, k := range commit.ownKeys(raw.Revision, c.log.opts.Index) {
			if keys++; isStream(k.Name) {
				versions[k.Name] = k.Pos
			}
		}
		next, last = next+1, commit.time
		c.progress()
	}
	if next != tail+1 {
		return keys, &driver.CorruptError{Shard: shard, Revision: next, Reason: fmt.Sprintf("missing; the tail is %d", tail)}
	}
	return keys, nil
}

// index checks that every entry of a shard's index leads to a commit that
// carries the key at that place, and counts them.
func (c *checker) index(ctx context.Context, shard int, tail driver.Revision) (entries int, err error) {
	for k, err := range c.log.driver.Keys(ctx, shard, "", "") {
		if err != nil {
			return entries, err
		}
		n, err := c.key(ctx, shard, tail, k.Name)
		if err != nil {
			return entries, err
		}
		entries += n
	}
	return entries, nil
}

func (c *checker) key(ctx context.Context, shard int, tail driver.Revision, name string) (entries int, err error) {
	last := uint64(0)
	for raw, err := range c.log.driver.Find(ctx, shard, name, driver.Range{}) {
		if err != nil {
			return entries, fmt.Errorf("key %q: %w", name, err)
		}
		if raw.Revision > tail {
			break
		}
		corrupt := func(format string, args ...any) error {
			return &driver.CorruptError{Shard: shard, Revision: raw.Revision, Reason: fmt.Sprintf(format, args...)}
		}
		commit, err := decodeCommit(shard, raw.Revision, raw.Data)
		if err != nil {
			return entries, err
		}
		pos := uint64(0)
		for _, k := range commit.keys(raw.Revision, c.log.opts.Index) {
			if k.Name == name {
				pos = k.Pos
			}
		}
		switch {
		case pos == 0:
			return entries, corrupt("indexed under %q, which it lacks", name)
		case pos <= last:
			return entries, corrupt("key %q goes from position %d to %d", name, last, pos)
		}
		last = pos
		entries++
		c.progress()
	}
	return entries, nil
}
