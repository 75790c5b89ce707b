package driver

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Escape writes a name so that it contains none of / | @ #, no space and no
// ASCII control character: these, and %, become %XX. Different names have
// different escapes, also when each is followed by one of those characters and
// whatever comes then. Escape(a+b) is Escape(a)+Escape(b), so the names with a
// prefix are those whose escapes start with its escape. The order of names is
// not that of their escapes: "+" sorts before "/", which becomes "%2F".
func Escape(name string) string {
	n := EscapedLen(name)
	if n == len(name) {
		return name
	}
	var b strings.Builder
	b.Grow(n)
	for i := 0; i < len(name); i++ {
		if c := name[i]; special(c) {
			const hex = "0123456789ABCDEF"
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// EscapedLen returns the length of Escape(name).
func EscapedLen(name string) int {
	n := len(name)
	for i := 0; i < len(name); i++ {
		if special(name[i]) {
			n += 2
		}
	}
	return n
}

func special(c byte) bool {
	switch c {
	case '/', '|', '@', '#', '%', 0x7f:
		return true
	}
	return c <= ' '
}

// CheckName returns an error when name cannot name a key or a cell.
func CheckName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("empty name")
	case strings.IndexByte(name, 0) >= 0:
		return fmt.Errorf("name %.40q contains NUL", name)
	case !utf8.ValidString(name):
		return fmt.Errorf("name %.40q is not UTF-8", name)
	}
	if n := EscapedLen(name); n > MaxName {
		return fmt.Errorf("%w: name %.40q… has %d bytes escaped, at most %d", ErrTooLarge, name, n, MaxName)
	}
	return nil
}

// Validate checks a Write against what every driver takes: names, limits, each
// shard and cell once, versions. Drivers call it first, so all refuse alike.
func (w *Write) Validate() error {
	if len(w.Beside) > 0 {
		return fmt.Errorf("%w: this store has no place for a %T", ErrBeside, w.Beside[0])
	}
	total := 0
	if shard, ok := twice(w.Batches); ok {
		return fmt.Errorf("shard %d appears twice in a write", shard)
	}
	for i, b := range w.Batches {
		if b.Shard < 0 || b.First == 0 {
			return fmt.Errorf("batch %d: shard %d, first revision %d", i, b.Shard, b.First)
		}
		for j := range b.Commits {
			n, err := b.Commits[j].validate(b.First + Revision(j))
			if err != nil {
				return fmt.Errorf("shard %d revision %d: %w", b.Shard, b.First+Revision(j), err)
			}
			total += n
		}
		if n := len(b.Unless); n > MaxUnless {
			return fmt.Errorf("%w: %d excluded names in shard %d, at most %d", ErrTooLarge, n, b.Shard, MaxUnless)
		}
		for _, name := range b.Unless {
			if err := CheckName(name); err != nil {
				return fmt.Errorf("shard %d: %w", b.Shard, err)
			}
			total += len(name)
		}
	}
	n, err := validateCells(w.Cells)
	if err != nil {
		return err
	}
	if total += n; total > MaxWrite {
		return fmt.Errorf("%w: write of %d bytes, at most %d", ErrTooLarge, total, MaxWrite)
	}
	return nil
}

// twice returns a shard that has two batches. Mostly there are few; of a hostile
// client's many not each is held against each.
func twice(list []Batch) (shard int, ok bool) {
	const few = 16
	if len(list) > few {
		seen := make(map[int]bool, len(list))
		for i := range list {
			if seen[list[i].Shard] {
				return list[i].Shard, true
			}
			seen[list[i].Shard] = true
		}
		return 0, false
	}
	for i := range list {
		for j := range i {
			if list[j].Shard == list[i].Shard {
				return list[i].Shard, true
			}
		}
	}
	return 0, false
}

func (c *Commit) validate(want Revision) (size int, err error) {
	switch {
	case c.Revision != want:
		return 0, fmt.Errorf("commit says revision %d", c.Revision)
	case len(c.Data) > MaxCommit:
		return 0, fmt.Errorf("%w: commit of %d bytes, at most %d", ErrTooLarge, len(c.Data), MaxCommit)
	case len(c.Keys) > MaxCommitKeys:
		return 0, fmt.Errorf("%w: commit with %d keys, at most %d", ErrTooLarge, len(c.Keys), MaxCommitKeys)
	}
	size = len(c.Data)
	for _, k := range c.Keys {
		if err := CheckName(k.Name); err != nil {
			return 0, err
		}
		size += len(k.Name)
	}
	return size, nil
}

func validateCells(ops []CellOp) (size int, err error) {
	if len(ops) == 0 {
		return 0, nil
	}
	seen := make(map[string]bool, len(ops))
	for _, op := range ops {
		c := op.Cell
		if err := CheckName(c.Key); err != nil {
			return 0, err
		}
		switch {
		case seen[c.Key]:
			return 0, fmt.Errorf("cell %q appears twice in a write", c.Key)
		case op.Op > Delete:
			return 0, fmt.Errorf("cell %q: unknown op %d", c.Key, op.Op)
		case op.Op == Put && c.Version == 0:
			return 0, fmt.Errorf("cell %q: put of version 0", c.Key)
		case op.Op == Put && op.If != nil && c.Version <= *op.If:
			return 0, fmt.Errorf("cell %q: version %d is not above %d", c.Key, c.Version, *op.If)
		case len(c.Value) > MaxCommit:
			return 0, fmt.Errorf("%w: cell %q of %d bytes, at most %d", ErrTooLarge, c.Key, len(c.Value), MaxCommit)
		}
		seen[c.Key] = true
		size += len(c.Key) + len(c.Value)
	}
	return size, nil
}
