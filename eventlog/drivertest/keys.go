package drivertest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog/driver"
)

var keysPromises = []promise{
	{"KeysPrefix", "Keys yields the names that start with prefix and sort after `after`, bytewise, in order.", testKeysPrefix},
	{"KeysLastPosition", "Keys yields each name once, with its last position.", testKeysLastPosition},
	{"KeysMany", "Keys has no hidden limit.", testKeysMany},
}

func testKeysPrefix(t *testing.T, log driver.Log) {
	names := []string{"\x01t1", "A", "a", "a ", "a!", "a+", "a-1", "a/1", "a/10", "a/2", "aa", "ab", "b/1", "z", "ä", "äb", "語", "\U0001F600"}
	for i := range names { // not in order, and some together
		name := names[(i*5)%len(names)]
		write(t, log, keyed(0, driver.Revision(i+1), "", driver.Key{Name: name, Pos: uint64(i + 1)}))
	}
	write(t, log, keyed(1, 1, "", driver.Key{Name: "a/elsewhere", Pos: 1}))
	slices.Sort(names)
	for _, prefix := range []string{"", "\x01", "a", "a/", "a/1", "a ", "b", "x", "z", "zz", "ä", "語", "\U0001F600"} {
		for _, after := range append([]string{"", "0", "a/11", "a\x00", "zzz", "\U0010ffff"}, names...) {
			var want []string
			for _, n := range names {
				if strings.HasPrefix(n, prefix) && n > after {
					want = append(want, n)
				}
			}
			var got []string
			for _, k := range collect(t, log.Keys(t.Context(), 0, prefix, after)) {
				got = append(got, k.Name)
			}
			equal(t, fmt.Sprintf("Keys(%q, %q)", prefix, after), got, want)
		}
	}
}

func testKeysLastPosition(t *testing.T, log driver.Log) {
	last := make(map[string]uint64)
	rev := driver.Revision(1)
	for round := range 6 {
		b := driver.Batch{First: rev}
		for i := range 4 {
			c := driver.Commit{Revision: rev}
			for k := range 5 {
				if (round+i+k)%3 == 0 {
					name := fmt.Sprint("k", k)
					last[name] += uint64(1 + i*k*1000) // digits of several lengths
					c.Keys = append(c.Keys, driver.Key{Name: name, Pos: last[name]})
				}
			}
			b.Commits = append(b.Commits, c)
			rev++
		}
		write(t, log, b)
		var want []driver.Key
		for k := range 5 {
			if name := fmt.Sprint("k", k); last[name] > 0 {
				want = append(want, driver.Key{Name: name, Pos: last[name]})
			}
		}
		equal(t, "keys", collect(t, log.Keys(t.Context(), 0, "", "")), want)
	}
}

func testKeysMany(t *testing.T, log driver.Log) {
	const n = 3000
	var want []driver.Key
	for rev := driver.Revision(1); len(want) < n; rev++ {
		c := driver.Commit{Revision: rev}
		for range 500 {
			k := driver.Key{Name: fmt.Sprintf("many/%05d", len(want)), Pos: uint64(rev)}
			c.Keys, want = append(c.Keys, k), append(want, k)
		}
		write(t, log, driver.Batch{First: rev, Commits: []driver.Commit{c}})
	}
	equal(t, "keys", collect(t, log.Keys(t.Context(), 0, "many/", "")), want)
	equal(t, "keys of the second half", collect(t, log.Keys(t.Context(), 0, "many/", want[n/2].Name)), want[n/2+1:])
}
