package datastorelog

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// Names are stored in a form that keeps their order, so that a range of names is
// a range of the store: a control character or a space is a space and a letter,
// everything else is itself. driver.Escape does not keep the order. No stored
// name contains a space followed by "@", which is what a NUL would be and ends a
// name in the index.
const terminator = " @"

// appendName appends the stored form of a name, at most as long as its Escape.
func appendName(b []byte, name string) []byte {
	for i := 0; i < len(name); i++ {
		if c := name[i]; c <= ' ' {
			b = append(b, ' ', c+'@')
		} else {
			b = append(b, c)
		}
	}
	return b
}

// parseName returns the name whose stored form s is.
func parseName(s string) (string, error) {
	if strings.IndexByte(s, ' ') < 0 {
		return s, nil
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == ' ' {
			if i++; i == len(s) || s[i] <= '@' || s[i] > '`' {
				return "", fmt.Errorf("%.60q is not a stored name", s)
			}
			c = s[i] - '@'
		}
		b = append(b, c)
	}
	return string(b), nil
}

// appendNumber appends n in a form that sorts like numbers do: a letter for how
// many digits there are, then the digits: a0 … a9 b10 … t18446744073709551615.
func appendNumber(b []byte, n uint64) []byte {
	at := len(b)
	b = append(b, 0)
	b = strconv.AppendUint(b, n, 10)
	b[at] = byte('a' + len(b) - at - 2)
	return b
}

// parseNumber reads a number at the start of s and returns what is behind it.
func parseNumber(s string) (n uint64, rest string, err error) {
	if s != "" && s[0] >= 'a' && s[0] <= 't' {
		if end := int(s[0]-'a') + 2; end <= len(s) {
			n, err = strconv.ParseUint(s[1:end], 10, 64)
			if err == nil {
				return n, s[end:], nil
			}
		}
	}
	return 0, "", fmt.Errorf("%.60q does not begin with a number", s)
}

// Of a block's index values, "shard#" and the numbers of last revision and block
// stand for its place, "shard|name @" and a position for each of its keys.

func placeValue(shard int, last driver.Revision, block uint64) string {
	b := append(strconv.AppendInt(nil, int64(shard), 10), '#')
	return string(appendNumber(appendNumber(b, uint64(last)), block))
}

func parsePlace(value string) (last driver.Revision, block uint64, err error) {
	_, numbers, _ := strings.Cut(value, "#")
	rev, rest, err := parseNumber(numbers)
	if err == nil {
		block, rest, err = parseNumber(rest)
	}
	if err != nil || rest != "" {
		return 0, 0, fmt.Errorf("%w: index value %.60q", driver.ErrCorrupt, value)
	}
	return driver.Revision(rev), block, nil
}

// keyPrefix is what the index values of a key begin with.
func keyPrefix(shard int, name string) string {
	b := append(strconv.AppendInt(nil, int64(shard), 10), '|')
	return string(append(appendName(b, name), terminator...))
}

func keyValue(shard int, k driver.Key) string {
	b := append(strconv.AppendInt(nil, int64(shard), 10), '|')
	return string(appendNumber(append(appendName(b, k.Name), terminator...), k.Pos))
}

// parseKey returns the key of an index value.
func parseKey(value string) (driver.Key, error) {
	_, rest, _ := strings.Cut(value, "|")
	stored, number, ok := cutLast(rest, terminator)
	pos, rest, err := parseNumber(number)
	if !ok || err != nil || rest != "" {
		return driver.Key{}, fmt.Errorf("%w: index value %.60q", driver.ErrCorrupt, value)
	}
	name, err := parseName(stored)
	if err != nil {
		return driver.Key{}, fmt.Errorf("%w: index value: %w", driver.ErrCorrupt, err)
	}
	return driver.Key{Name: name, Pos: pos}, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// span is the values from ≤ v < to.
type span struct{ from, to string }

func (s span) empty() bool { return s.from >= s.to }

// places spans the places of blocks that reach revision from, to the end.
func places(shard int, from driver.Revision) span {
	b := append(strconv.AppendInt(nil, int64(shard), 10), '#')
	end := string(b[:len(b)-1]) + "$"
	return span{string(appendNumber(b, uint64(from))), end}
}

// positions spans the values of a key from a position on, to the end or, where
// to is not 0, to that position.
func positions(shard int, name string, from, to uint64) span {
	prefix := keyPrefix(shard, name)
	s := span{string(appendNumber([]byte(prefix), from)), prefix[:len(prefix)-1] + "A"}
	if to != 0 {
		s.to = string(appendNumber([]byte(prefix), to))
	}
	return s
}

// names spans the keys whose names start with prefix and sort after the name
// `after`. Names have no NUL, so what is behind one in a bound does not count.
func names(shard int, prefix, after string) span {
	base := strconv.Itoa(shard) + "|"
	p := appendBound([]byte(base), prefix)
	s := span{string(p), successor(string(p))}
	if cut, _, _ := strings.Cut(after, "\x00"); cut != "" {
		s.from = max(s.from, string(appendBound([]byte(base), cut))+" A")
	}
	return s
}

// behind is the first value that can stand behind all values of the name in an
// index value.
func behind(value string) string {
	stored, _, _ := cutLast(value, terminator)
	return stored + " A"
}

// maxBound is longer than any stored name: a bound that is cut there selects the
// same names.
const maxBound = driver.MaxName + 40

func appendBound(b []byte, bound string) []byte {
	n := len(b)
	if b = appendName(b, bound); len(b)-n > maxBound {
		for b = b[:n+maxBound]; !utf8.Valid(b[n:]); {
			b = b[:len(b)-1]
		}
	}
	return b
}

// successor returns the smallest string above all that start with s.
func successor(s string) string {
	for s != "" {
		r, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
		switch {
		case r == utf8.MaxRune:
			continue
		case r == 0xd7ff:
			r = 0xe000
		default:
			r++
		}
		return s + string(r)
	}
	return s
}

// blockName is the name of a block's key. The two digits spread the shards of a
// log over the store.
func blockName(shard int, block uint64) string {
	s := strconv.Itoa(shard)
	b := fmt.Appendf(nil, "%02x/%s/", byte(xxhash.Sum64String(s)), s)
	return string(appendNumber(b, block))
}

// cellName is the name of a cell's key; the mark in front keeps it apart from the
// names that the store reserves. Cells are not sorted by it: an emulator sorts the
// names of keys as UTF-16.
func cellName(key string) string { return string(appendName([]byte(":"), key)) }

// cells spans the stored names of the cells from ≤ key < to ("": no end).
func cells(from, to string) span {
	s := span{string(appendBound(nil, from)), string(appendBound(nil, to))}
	if to == "" {
		s.to = maxString
	}
	return s
}

// maxString is above all stored names: none is so long.
var maxString = strings.Repeat(string(utf8.MaxRune), 1500/4)
