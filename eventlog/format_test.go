package eventlog

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rollforward/rollforward/eventlog/driver"
)

var update = flag.Bool("update", false, "write the golden files anew")

// goldenShard and goldenRevision are the place of every commit here.
const (
	goldenShard    = 7
	goldenRevision = 300
)

func testID(b byte) (id ID) {
	for i := range id {
		id[i] = b + byte(i)
	}
	return id
}

// goldenCommits are commits whose stored form is kept in testdata.
func goldenCommits() map[string]*commit {
	const at = 1_767_225_600_123_456_789
	return map[string]*commit{
		"empty": {id: testID(0x10), time: at},
		"plain": {id: testID(0x10), time: at, events: []event{
			{stream: "account/42", version: 1, typ: "bank.opened", data: []byte(`{"Owner":"ada"}`)},
		}},
		"streams": {id: testID(0x10), time: at, events: []event{
			{stream: "account/größe 語", version: 300, typ: "a", data: []byte("1")},
			{stream: "$steps/7", version: 1, index: 1, typ: "$step", tags: []string{"$step/1"}},
			{stream: "account/größe 語", version: 301, index: 5, typ: "b", codec: "cbor", tags: []string{"x", "y", "x"}, data: []byte{0, 255}},
		}},
		"full": {id: testID(0x10), time: at,
			meta: Meta{Correlation: testID(0x20), Causation: testID(0x40), Actor: "ada", Traceparent: "00-0af7-b7ad-01",
				Extra: map[string]string{"tenant": "7", "": "empty", "b": ""}},
			events: []event{{stream: "account/{42}", version: 9, typ: "bank.posted", tags: []string{"mail/ada@example.org"}, data: []byte(`{}`)}},
			onces:  []once{{"account/{42}", "request 1", 0xfedcba9876543210}, {"account/{42}", "request 2", 0}},
			tables: []string{"limits", "rates"},
		},
		"metas": {id: testID(0x10), time: at, meta: Meta{Correlation: testID(0x20)},
			metas: []Meta{{}, {Correlation: testID(0x40), Causation: testID(0x50), Extra: map[string]string{"k": "v"}}},
			events: []event{
				{stream: "account/42", version: 1, typ: "a"},
				{stream: "$steps/7", version: 8, index: 1, meta: 1, typ: "$step"},
				{stream: "account/42", version: 2, index: 2, meta: 2, typ: "a", tags: []string{"x"}, data: []byte(`{}`)},
				{stream: "account/42", version: 3, index: 3, typ: "b"},
			},
			onces: []once{{"account/42", "1", 1}},
		},
		"relaxed": {id: testID(0x10), time: at, meta: Meta{Actor: "ada"}, metas: []Meta{{}},
			relaxed: []relaxed{
				{id: testID(0x40), seen: 299, time: at - 2000, events: 2, cell: looseName{299, at - 2000, testID(0x40)}},
				{id: testID(0x60), seen: 299, time: at - 1000, events: 1},
				{id: testID(0x80), seen: 299, time: at - 900, events: 1, cell: looseName{299, at - 950, testID(0x90)}},
			},
			events: []event{
				{stream: "account/42", version: 7, part: 1, typ: "a", data: []byte(`1`)},
				{stream: "account/42", version: 8, part: 1, index: 1, typ: "a", data: []byte(`2`)},
				{stream: "account/7", version: 1, part: 2, meta: 1, typ: "a", data: []byte(`3`)},
				{stream: "account/42", version: 9, part: 3, typ: "a", tags: []string{"x"}, data: []byte(`4`)},
			},
			onces: []once{{"account/7", "1", 1}},
		},
		"once":  {id: testID(0x10), time: at, onces: []once{{"account/42", "1", 1}}},
		"table": {id: testID(0x10), time: at, tables: []string{"limits"}},
	}
}

// sameCommit ignores what is not stored.
var sameCommit = cmp.Options{
	cmp.AllowUnexported(commit{}, event{}, once{}, relaxed{}, looseName{}), cmpopts.IgnoreFields(event{}, "span"), cmpopts.EquateEmpty(),
}

// TestCommitGolden: bytes once written stay readable, and are written the same
// for ever.
func TestCommitGolden(t *testing.T) {
	t.Parallel()
	for name, c := range goldenCommits() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := c.encode(goldenShard, goldenRevision)
			if c.size() < len(data) {
				t.Errorf("size says %d, the commit has %d bytes", c.size(), len(data))
			}
			stored := golden(t, filepath.Join("commit", name+".hex"), hex.Dump(data))
			back, err := decodeCommit(goldenShard, goldenRevision, undump(t, stored))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c, back, sameCommit); diff != "" {
				t.Errorf("read back (-written +read):\n%s", diff)
			}
		})
	}
}

// TestKeysGolden: the index keys of commits, at their positions.
func TestKeysGolden(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	commits := goldenCommits()
	var names []string
	for name := range commits {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, ix := range []Index{{}, {Types: true, Correlations: true}} {
			fmt.Fprintf(&b, "%s, types %t, correlations %t\n", name, ix.Types, ix.Correlations)
			for _, k := range commits[name].keys(goldenRevision, ix) {
				fmt.Fprintf(&b, "  %q at %d\n", k.Name, k.Pos)
			}
		}
	}
	golden(t, "keys.txt", b.String())
}

// golden compares with a file of testdata, or writes it, and returns it.
func golden(t *testing.T, name, got string) string {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-stored +now); a change of the format needs a new format number:\n%s", name, diff)
	}
	return string(want)
}

var dumpLine = regexp.MustCompile(`(?m)^[0-9a-f]{8}  ((?:[0-9a-f]{2} +){1,16})`)

// undump reads what hex.Dump wrote.
func undump(t *testing.T, dump string) (data []byte) {
	t.Helper()
	for _, m := range dumpLine.FindAllStringSubmatch(dump, -1) {
		line, err := hex.DecodeString(strings.ReplaceAll(m[1], " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		data = append(data, line...)
	}
	return data
}

// named fails unless err says that the golden place is damaged.
func named(t *testing.T, what string, err error) {
	t.Helper()
	var corrupt *driver.CorruptError
	if !errors.As(err, &corrupt) && !errors.Is(err, ErrFormat) {
		t.Fatalf("%s: %v, expected a CorruptError or ErrFormat", what, err)
	}
	if !strings.Contains(err.Error(), fmt.Sprintf("shard %d revision %d", goldenShard, goldenRevision)) {
		t.Fatalf("%s: %v, expected shard and revision", what, err)
	}
}

// TestFlippedBitsAreFound: no damage of a stored commit is ever served.
func TestFlippedBitsAreFound(t *testing.T) {
	t.Parallel()
	for name, c := range goldenCommits() {
		data := c.encode(goldenShard, goldenRevision)
		for i := range data {
			for bit := range 8 {
				damaged := bytes.Clone(data)
				damaged[i] ^= 1 << bit
				_, err := decodeCommit(goldenShard, goldenRevision, damaged)
				named(t, fmt.Sprintf("%s, byte %d, bit %d", name, i, bit), err)
			}
			_, err := decodeCommit(goldenShard, goldenRevision, data[:i])
			named(t, fmt.Sprintf("%s, cut at %d", name, i), err)
		}
		_, err := decodeCommit(goldenShard, goldenRevision, append(data, 0))
		named(t, name+", a byte too many", err)
	}
}

// TestCommitElsewhereIsFound: the checksum covers the place.
func TestCommitElsewhereIsFound(t *testing.T) {
	t.Parallel()
	c := goldenCommits()["full"]
	for _, place := range []struct {
		shard int
		rev   driver.Revision
	}{{goldenShard, goldenRevision + 1}, {goldenShard + 1, goldenRevision}, {goldenShard, 1}, {0, goldenRevision}} {
		_, err := decodeCommit(goldenShard, goldenRevision, c.encode(place.shard, place.rev))
		named(t, fmt.Sprintf("written for shard %d revision %d", place.shard, place.rev), err)
	}
}
