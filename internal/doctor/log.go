package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rollforward/rollforward/eventlog"
)

// Log examines an open log, whatever its store: its shards, and whether the times of their
// last commits agree with the clock of this machine.
func Log(ctx context.Context, l *eventlog.Log) (r Report) {
	position, err := l.Position(ctx)
	if err != nil {
		r.Manifest(err)
		return r
	}
	r.Add("manifest", Good, "", "there is a log of a format that this program knows")
	var commits uint64
	used := 0
	for s := range l.Shards() {
		if n := uint64(position.Revision(s)); n > 0 {
			used, commits = used+1, commits+n
		}
	}
	r.Add("shards", Good, "", "%d shards, %d of them in use, %d commits", l.Shards(), used, commits)
	r.lastCommits(ctx, l)
	return r
}

// Manifest says why a log cannot be opened.
func (r *Report) Manifest(err error) {
	do := "check what the store says"
	switch {
	case errors.Is(err, eventlog.ErrCorrupt):
		do = `run "eventlog verify" for what is damaged, and restore a backup`
	case errors.Is(err, eventlog.ErrFormat):
		do = "use a newer version of this program, or the number of shards that the log was made with"
	case errors.Is(err, eventlog.ErrUnavailable):
		do = "the store does not answer: check it, and the way to it"
	}
	r.Add("manifest", Bad, do, "%v", err)
}

// lastCommits holds the last commit of each shard against the clock.
func (r *Report) lastCommits(ctx context.Context, l *eventlog.Log) {
	var last time.Time
	where := 0
	for s := range l.Shards() {
		q := eventlog.Query{Shards: []int{s}, Backward: true, Limit: 1, System: true, Stored: true}
		for rec, err := range l.Read(ctx, q) {
			if err != nil {
				r.Add("last commit", Bad, `run "eventlog verify" for what is damaged`, "shard %d: %v", s, err)
				return
			}
			if rec.Time.After(last) {
				last, where = rec.Time, s
			}
		}
	}
	if last.IsZero() {
		r.Add("last commit", Good, "", "there are no events yet")
		return
	}
	r.clock("last commit", time.Until(last), fmt.Sprintf("in shard %d, %s", where, last.UTC().Format(time.RFC3339)))
}

// Skews between clocks, and what of them matters: a writer refuses to stamp behind a
// time that is further ahead than eventlog.Options.MaxSkew.
const (
	muchSkew = 250 * time.Millisecond
	maxSkew  = time.Second
)

// clock judges by how much something is ahead of this machine's clock.
func (r *Report) clock(check string, ahead time.Duration, what string) {
	const do = "let the machines synchronise their clocks (NTP); until then appends may be refused with ErrClock"
	ahead = ahead.Round(time.Millisecond)
	switch {
	case ahead > maxSkew:
		r.Add(check, Bad, do, "%s: %s ahead of this machine's clock", what, ahead)
	case ahead > muchSkew:
		r.Add(check, Warning, do, "%s: %s ahead of this machine's clock", what, ahead)
	default:
		r.Add(check, Good, "", "%s", what)
	}
}

// Clock judges a clock that differs from this machine's by a duration, one way or the
// other.
func (r *Report) Clock(check string, differs time.Duration, what string) {
	if differs < 0 {
		differs = -differs
	}
	const do = "let this machine synchronise its clock (NTP); until then appends may be refused with ErrClock, here or elsewhere"
	switch differs = differs.Round(time.Millisecond); {
	case differs > maxSkew:
		r.Add(check, Bad, do, "%s differs from this machine's by %s", what, differs)
	case differs > muchSkew:
		r.Add(check, Warning, do, "%s differs from this machine's by %s", what, differs)
	default:
		r.Add(check, Good, "", "%s differs from this machine's by %s", what, differs)
	}
}
