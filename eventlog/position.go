package eventlog

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A Position says how far a reader has come: a revision for each shard. The
// zero Position is before everything. Its text form lists the shards that have
// one, "0:17 3:4".
type Position struct {
	revs []driver.Revision
}

// Revision returns the position in a shard, 0 for "before its first commit".
func (p Position) Revision(shard int) driver.Revision {
	if shard < 0 || shard >= len(p.revs) {
		return 0
	}
	return p.revs[shard]
}

// Covers reports whether whoever is at p has seen everything up to q.
func (p Position) Covers(q Position) bool {
	for s, r := range q.revs {
		if p.Revision(s) < r {
			return false
		}
	}
	return true
}

// IsZero reports whether p is before everything.
func (p Position) IsZero() bool { return Position{}.Covers(p) }

// With returns p with shard at revision r.
func (p Position) With(shard int, r driver.Revision) Position {
	revs := make([]driver.Revision, max(len(p.revs), shard+1))
	copy(revs, p.revs)
	revs[shard] = r
	return Position{revs}
}

// Join returns the position that covers p and q and no more.
func (p Position) Join(q Position) Position {
	revs := make([]driver.Revision, max(len(p.revs), len(q.revs)))
	copy(revs, p.revs)
	for s, r := range q.revs {
		revs[s] = max(revs[s], r)
	}
	return Position{revs}
}

// Advance moves p behind record r, which a reader got last. When more records
// of r's commit follow, p stays before that commit: a reader that resumes after
// p gets the whole commit again rather than losing its rest.
func (p *Position) Advance(r Record) {
	rev := r.Revision
	if r.more {
		rev--
	}
	for len(p.revs) <= r.Shard {
		p.revs = append(p.revs, 0)
	}
	p.revs[r.Shard] = max(p.revs[r.Shard], rev)
}

// Clone returns a copy that Advance does not change.
func (p Position) Clone() Position { return Position{append([]driver.Revision(nil), p.revs...)} }

func (p Position) String() string {
	var b strings.Builder
	for s, r := range p.revs {
		if r > 0 {
			if b.Len() > 0 {
				b.WriteByte(' ')
			}
			fmt.Fprintf(&b, "%d:%d", s, r)
		}
	}
	return b.String()
}

// MarshalText returns String.
func (p Position) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (p *Position) UnmarshalText(text []byte) error {
	var q Position
	for _, f := range strings.Fields(string(text)) {
		s, r, _ := strings.Cut(f, ":")
		shard, err := strconv.ParseUint(s, 10, 16)
		if err != nil {
			return fmt.Errorf("eventlog: position %.60q: %w", text, err)
		}
		rev, err := strconv.ParseUint(r, 10, 64)
		if err != nil {
			return fmt.Errorf("eventlog: position %.60q: %w", text, err)
		}
		q = q.With(int(shard), driver.Revision(rev))
	}
	*p = q
	return nil
}

// ParsePosition reads the text form of a Position.
func ParsePosition(s string) (Position, error) {
	var p Position
	err := p.UnmarshalText([]byte(s))
	return p, err
}
