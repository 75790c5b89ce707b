package datastorelog

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// often searches longer than tests on a server do: see TestMain.
func often(t *testing.T, f func(*rapid.T)) {
	for range 20 {
		rapid.Check(t, f)
	}
}

// drawName draws names that are rich in what an encoding can confuse.
func drawName(t *rapid.T, label string) string {
	runes := rapid.SampledFrom([]rune{1, 2, ' ', '@', 'A', '`', 'a', '#', '|', '/', '%', '0', '9', 0x7f, 0x80, 0xd7ff, 0xe000, 0xffff, 0x10000, 0x10ffff})
	return string(rapid.SliceOfN(runes, 1, 6).Draw(t, label))
}

func TestStoredNamesKeepTheOrder(t *testing.T) {
	t.Parallel()
	often(t, func(t *rapid.T) {
		a, b := drawName(t, "a"), drawName(t, "b")
		x, y := driver.Key{Name: a, Pos: rapid.Uint64().Draw(t, "x")}, driver.Key{Name: b, Pos: rapid.Uint64().Draw(t, "y")}
		want := strings.Compare(a, b)
		if want == 0 {
			want = compare(x.Pos, y.Pos)
		}
		if got := strings.Compare(keyValue(7, x), keyValue(7, y)); got != want {
			t.Fatalf("%q %q: %d, names compare %d", keyValue(7, x), keyValue(7, y), got, want)
		}
		if cellName(a) == cellName(b) != (a == b) {
			t.Fatalf("%q and %q have the keys %q and %q", a, b, cellName(a), cellName(b))
		}
		stored := string(appendName(nil, a))
		if s := cells(b, ""); (stored >= s.from && stored < s.to) != (a >= b) {
			t.Fatalf("%q in [%q, …): %v", a, s.from, stored >= s.from)
		}
		if s := cells("", b+"\x00"); (stored >= s.from && stored < s.to) != (a <= b) {
			t.Fatalf("%q in [\"\", %q)", a, s.to)
		}
		if k, err := parseKey(keyValue(7, x)); k != x || err != nil {
			t.Fatalf("%q is %+v, %v", keyValue(7, x), k, err)
		}
		if key, err := parseName(stored); key != a || err != nil {
			t.Fatalf("%q is %q, %v", stored, key, err)
		}
		if len(appendName(nil, a)) > driver.EscapedLen(a) {
			t.Fatalf("%q is longer than its escape", appendName(nil, a))
		}
	})
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func TestSpansOfNames(t *testing.T) {
	t.Parallel()
	often(t, func(t *rapid.T) {
		name, prefix, after := drawName(t, "name"), drawName(t, "prefix"), drawName(t, "after")
		if rapid.Bool().Draw(t, "own prefix") {
			prefix = name[:1]
			if name[0] >= 0x80 {
				prefix = string([]rune(name)[:1])
			}
		}
		if rapid.Bool().Draw(t, "NUL") {
			after += "\x00"
		}
		s := names(3, prefix, after)
		value := keyValue(3, driver.Key{Name: name, Pos: rapid.Uint64().Draw(t, "pos")})
		want := strings.HasPrefix(name, prefix) && name > after
		if got := s.from <= value && value < s.to; got != want {
			t.Fatalf("name %q in [%q, %q): %v", name, s.from, s.to, got)
		}
		if b := behind(value); b <= value || b > keyValue(3, driver.Key{Name: name + "\x01"}) {
			t.Fatalf("%q is behind %q", b, value)
		}
		p := positions(3, name, 5, 9)
		for pos, in := range map[uint64]bool{0: false, 4: false, 5: true, 8: true, 9: false, 10: false, math.MaxUint64: false} {
			v := keyValue(3, driver.Key{Name: name, Pos: pos})
			if got := p.from <= v && v < p.to; got != in {
				t.Fatalf("position %d of %q in [%q, %q): %v", pos, name, p.from, p.to, got)
			}
			other := keyValue(3, driver.Key{Name: prefix + name, Pos: pos})
			if p.from <= other && other < p.to {
				t.Fatalf("%q is in [%q, %q)", other, p.from, p.to)
			}
		}
	})
}

func TestLongNamesAndBounds(t *testing.T) {
	t.Parallel()
	for _, name := range []string{strings.Repeat("x", driver.MaxName), strings.Repeat(" ", driver.MaxName/3), strings.Repeat("語", driver.MaxName/3)} {
		if n := len(keyValue(math.MaxInt32, driver.Key{Name: name, Pos: math.MaxUint64})); n > 1500 {
			t.Errorf("an index value of %d bytes", n)
		}
		if n := len(cellName(name)); n > 1500 {
			t.Errorf("a key of %d bytes", n)
		}
		long := name + strings.Repeat("語", 1000)
		if s := cells(long, long); len(s.from) > 1500 || s.from <= string(appendName(nil, name)) {
			t.Errorf("a bound of %d bytes", len(s.from))
		}
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	often(t, func(t *rapid.T) {
		last, block := rapid.Uint64Min(1).Draw(t, "last"), rapid.Uint64Min(1).Draw(t, "block")
		from := rapid.Uint64Range(0, last).Draw(t, "from")
		v := placeValue(11, driver.Revision(last), block)
		if l, b, err := parsePlace(v); uint64(l) != last || b != block || err != nil {
			t.Fatalf("%q is %d, %d, %v", v, l, b, err)
		}
		s := places(11, driver.Revision(from))
		if v < s.from || v >= s.to {
			t.Fatalf("%q is not in [%q, %q)", v, s.from, s.to)
		}
		if v := placeValue(11, driver.Revision(from), block); last > from {
			if s := places(11, driver.Revision(last)); v >= s.from {
				t.Fatalf("%q is in [%q, %q)", v, s.from, s.to)
			}
		}
		for _, other := range []string{placeValue(1, driver.Revision(last), block), placeValue(111, driver.Revision(last), block), keyValue(11, driver.Key{Name: "#", Pos: last})} {
			if other >= s.from && other < s.to {
				t.Fatalf("%q is in [%q, %q)", other, s.from, s.to)
			}
		}
	})
}

func FuzzStored(f *testing.F) {
	f.Add("12|account/ada @b17")
	f.Add("12#b17b12")
	f.Add(" A")
	f.Fuzz(func(t *testing.T, s string) {
		if k, err := parseKey(s); err == nil && driver.CheckName(k.Name) == nil && strings.HasPrefix(s, "7|") && keyValue(7, k) != s && !strings.Contains(s, "0") {
			t.Errorf("%q is %+v, which is %q", s, k, keyValue(7, k))
		}
		_, _, _ = parsePlace(s)
		_, _ = parseName(s)
	})
}
