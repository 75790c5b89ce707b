package eventlog

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// Limits, the same on every driver. What exceeds one is refused with
// ErrTooLarge before anything is written.
const (
	MaxEvent  = 800_000   // bytes of an event's encoded data
	MaxCommit = 890_000   // bytes of what one transaction puts into one shard, index keys included
	MaxTx     = 3_400_000 // bytes of a transaction over all its shards
	MaxEvents = 60_000    // events of a transaction
	MaxName   = 1_000     // bytes of a stream, tag, type or id, escaped (see driver.Escape)
	MaxTags   = 64        // tags of an event
)

// shardOf places a stream: xxhash64 of its name mod the number of shards. Of a
// name with a non-empty {group} only the group counts, so streams of one group
// lie in one shard. A system stream $name/N lies in shard N.
func shardOf(stream string, shards int) int {
	if strings.HasPrefix(stream, "$") {
		if _, n, ok := strings.Cut(stream, "/"); ok {
			if i, err := strconv.Atoi(n); err == nil && i >= 0 && i < shards {
				return i
			}
		}
	}
	return int(xxhash.Sum64String(hashed(stream)) % uint64(shards))
}

// hashed is the part of a name that decides on its shard.
func hashed(stream string) string {
	if i := strings.IndexByte(stream, '{'); i >= 0 {
		if n := strings.IndexByte(stream[i+1:], '}'); n > 0 {
			return stream[i+1 : i+1+n]
		}
	}
	return stream
}

// category is the name up to the first slash.
func category(stream string) string {
	c, _, _ := strings.Cut(stream, "/")
	return c
}

// checkName refuses what cannot be a stream, tag, type or id.
func checkName(what, name string) error {
	if name == "" {
		return fmt.Errorf("%w: empty %s", ErrName, what)
	}
	if !plainASCII(name) {
		if !utf8.ValidString(name) {
			return fmt.Errorf("%w: %s %.60q is not UTF-8", ErrName, what, name)
		}
		if i := strings.IndexFunc(name, unicode.IsControl); i >= 0 {
			return fmt.Errorf("%w: %s %.60q has a control character at byte %d", ErrName, what, name, i)
		}
	}
	if 3*len(name) <= MaxName {
		return nil
	}
	if n := driver.EscapedLen(name); n > MaxName {
		return fmt.Errorf("%w: %s %.60q… has %d bytes escaped, at most %d", ErrTooLarge, what, name, n, MaxName)
	}
	return nil
}

// checkText refuses what could not be exported: records are JSON there.
func checkText(what, text string) error {
	if !utf8.ValidString(text) {
		return fmt.Errorf("%w: %s %.60q is not UTF-8", ErrName, what, text)
	}
	return nil
}

func plainASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// checkUserName is checkName for names that users choose: `$` at the start is
// reserved.
func checkUserName(what, name string) error {
	if strings.HasPrefix(name, "$") {
		return fmt.Errorf("%w: %s %.60q: $ at the start is reserved", ErrName, what, name)
	}
	return checkName(what, name)
}

// Index keys. A stream is its own name, at the version of its last event in the
// commit; everything else starts with a control character, which no name has,
// and stands at the commit's revision.
const (
	systemKeys = "\x01"
	lastSystem = "\x02" // sorts behind all of them, before every stream
)

func tagKey(tag string) string         { return "\x01t" + tag }
func typeKey(typ string) string        { return "\x01e" + typ }
func correlationKey(id ID) string      { return "\x01c" + id.hex() }
func onceKey(stream, id string) string { return "\x01o" + stream + "\x01" + id }
func tableKey(table string) string     { return "\x01x" + table }

const looseKeys = "\x01l" // of cells that were folded; see looseName
