package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

func TestOptionsRefused(t *testing.T) {
	t.Parallel()
	marshal, unmarshal := eventlog.JSON.Marshal, eventlog.JSON.Unmarshal
	codec := func(c eventlog.Codec) eventlog.Options {
		return eventlog.Options{Codecs: map[string]eventlog.Codec{"t": c}}
	}
	for says, o := range map[string]eventlog.Options{
		"Shards is -1: 1 to 1024":   {Shards: -1},
		"Shards is 1025: 1 to 1024": {Shards: 1025},
		"cannot be negative":        {MaxSkew: -1},
		"cannot be negative ":       {Attempts: -1},
		"cannot be negative  ":      {Poll: -1},
		"lacks a function":          codec(eventlog.Codec{Name: "x", Marshal: marshal}),
		"lacks a function ":         codec(eventlog.Codec{Name: "x", Unmarshal: unmarshal}),
		"has no name":               codec(eventlog.Codec{Marshal: marshal, Unmarshal: unmarshal}),
	} {
		_, err := eventlog.Open(t.Context(), memlog.Open(), &o)
		if err == nil || !strings.HasPrefix(err.Error(), "eventlog: open: ") || !strings.Contains(err.Error(), strings.TrimSpace(says)) {
			t.Errorf("%+v: error %v, expected %q", o, err, says)
		}
	}
}

// TestManifest: shards and index are fixed when a log is made. Zero options take
// what it has, others are refused, with both.
func TestManifest(t *testing.T) {
	t.Parallel()
	store := memlog.NewStore()
	first := over(t, store.Open(), &eventlog.Options{Shards: 5, Index: eventlog.Index{Types: true}})
	add(t, first, "s", "1")
	for _, o := range []*eventlog.Options{nil, {}, {Shards: 5}, {Index: eventlog.Index{Types: true}}} {
		l := over(t, store.Open(), o)
		if l.Shards() != 5 {
			t.Errorf("%+v: %d shards, expected 5", o, l.Shards())
		}
		want(t, l, "s", "1")
	}
	for says, o := range map[string]*eventlog.Options{
		"the log has 5 shards, the options ask for 16":                                                              {Shards: 16},
		"the log has the index {Types:true Correlations:false}, the options ask for {Types:true Correlations:true}": {Index: eventlog.Index{Types: true, Correlations: true}},
	} {
		d := store.Open()
		_, err := eventlog.Open(t.Context(), d, o)
		is(t, err, eventlog.ErrFormat)
		if err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("error %q, expected %q", err, says)
		}
		is(t, d.Close(), nil) // a failed Open leaves the driver open
	}
	if n := fresh(t).Shards(); n != 16 {
		t.Errorf("%d shards by default, expected 16", n)
	}
}

// TestManifestOfAnotherVersion is refused, and one that is damaged.
func TestManifestOfAnotherVersion(t *testing.T) {
	t.Parallel()
	for manifest, c := range map[string]struct {
		err  error
		says string
	}{
		`{"format":2,"shards":16}`:   {eventlog.ErrFormat, "the log has format 2, this program knows 1"},
		`{"shards":16}`:              {eventlog.ErrFormat, "the log has format 0"},
		`{"format":1,"shards":0}`:    {eventlog.ErrCorrupt, "0 shards"},
		`{"format":1,"shards":4096}`: {eventlog.ErrCorrupt, "4096 shards"},
		`{"format":`:                 {eventlog.ErrCorrupt, "manifest"},
	} {
		d := memlog.Open()
		w := driver.Write{Cells: []driver.CellOp{{Op: driver.Put, Cell: driver.Cell{Key: "$manifest", Value: []byte(manifest), Version: 1}}}}
		is(t, d.Write(t.Context(), w), nil)
		_, err := eventlog.Open(t.Context(), d, nil)
		is(t, err, c.err)
		if err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %q, expected %q", manifest, err, c.says)
		}
	}
}

// TestOpenTogether: processes that make a log at the same moment agree.
func TestOpenTogether(t *testing.T) {
	t.Parallel()
	store := memlog.NewStore()
	var wg sync.WaitGroup
	shards := make([]int, 8)
	for i := range shards {
		wg.Go(func() {
			f := drivertest.NewFaulty(store.Open(), drivertest.Nth("Write", 1, drivertest.Fault{Kind: []drivertest.Kind{drivertest.None, drivertest.Lose}[i%2]}))
			l, err := eventlog.Open(t.Context(), f, nil)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := l.Append(t.Context(), "s", nil, entry{fmt.Sprint(i)}); err != nil {
				t.Error(err)
			}
			shards[i] = l.Shards()
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	l := over(t, store.Open(), nil)
	for _, n := range shards {
		if n != l.Shards() {
			t.Errorf("a process had %d shards, the log has %d", n, l.Shards())
		}
	}
	if n := len(collect(t, l.Read(t.Context(), eventlog.Query{}))); n != len(shards) {
		t.Errorf("%d events, expected %d", n, len(shards))
	}
}

// TestOpenFails with the driver's error, whichever call it is, and with ctx.
func TestOpenFails(t *testing.T) {
	t.Parallel()
	store := memlog.NewStore()
	add(t, over(t, store.Open(), nil), "s", "1")
	calls := 0
	for n := 1; ; n++ {
		f := drivertest.NewFaulty(store.Open(), func(c drivertest.Call) drivertest.Fault {
			if calls = c.Total; c.Total == n {
				return drivertest.Fault{Kind: drivertest.Fail}
			}
			return drivertest.Fault{}
		})
		l, err := eventlog.Open(t.Context(), f, nil)
		if calls < n {
			is(t, err, nil)
			is(t, l.Close(), nil)
			break
		}
		is(t, err, drivertest.ErrInjected)
		is(t, f.Close(), nil)
	}
	if calls < 17 {
		t.Errorf("Open made %d calls, expected the manifest and 16 tails", calls)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := eventlog.Open(ctx, memlog.Open(), nil)
	is(t, err, context.Canceled)
}

// TestReopen: a log goes on where it was, versions, ids and times too.
func TestReopen(t *testing.T) {
	t.Parallel()
	store := memlog.NewStore()
	var before time.Time
	for i := range 4 {
		l := over(t, store.Open(), nil)
		if i > 0 && !l.Now().After(before) {
			t.Errorf("time %s after reopening, %s before", l.Now(), before)
		}
		_, err := l.Append(t.Context(), "s", &eventlog.AppendOptions{Expect: eventlog.Exactly(uint64(i))}, entry{fmt.Sprint(i)})
		is(t, err, nil)
		before = l.Now()
		is(t, l.Close(), nil)
	}
	want(t, over(t, store.Open(), nil), "s", "0 1 2 3")
}

// TestCells: a cell is swapped by version; versions never repeat.
func TestCells(t *testing.T) {
	t.Parallel()
	eachDriver(t, nil, func(t *testing.T, l *eventlog.Log) {
		ctx := t.Context()
		expect := func(value string, version uint64) {
			t.Helper()
			v, have, err := l.ReadCell(ctx, "$test\x01c")
			if string(v) != value || have != version || err != nil {
				t.Errorf("cell %q at %d, %v, expected %q at %d", v, have, err, value, version)
			}
		}
		refused := func(old uint64, have uint64) {
			t.Helper()
			_, err := l.SwapCell(ctx, "$test\x01c", old, []byte("no"))
			var lost *driver.CellError
			if !errors.As(err, &lost) || lost.Version != have {
				t.Errorf("swap of version %d: %v, expected a refusal that says %d", old, err, have)
			}
		}
		swap := func(old uint64, value []byte) uint64 {
			t.Helper()
			v, err := l.SwapCell(ctx, "$test\x01c", old, value)
			is(t, err, nil)
			return v
		}
		expect("", 0)
		refused(7, 0)
		v1 := swap(0, []byte("one"))
		expect("one", v1)
		refused(0, v1)
		v2 := swap(v1, []byte{})
		expect("", v2)
		refused(v1, v2)
		swap(v2, nil) // removed
		expect("", 0)
		refused(v2, 0)
		v3 := swap(0, []byte("three"))
		if !(v1 < v2 && v2 < v3) {
			t.Errorf("versions %d, %d, %d", v1, v2, v3)
		}
		expect("three", v3)
		if _, _, err := l.ReadCell(ctx, "$test\x01"); err != nil { // a prefix is another cell
			t.Error(err)
		}
	})
}

// TestSwapCells: all of several cells, or none; what is listed is what is there.
func TestSwapCells(t *testing.T) {
	t.Parallel()
	eachDriver(t, nil, func(t *testing.T, l *eventlog.Log) {
		ctx := t.Context()
		list := func(from, to string, limit int) (out string) {
			t.Helper()
			for c, err := range l.Cells(ctx, from, to, limit) {
				is(t, err, nil)
				out += fmt.Sprintf("%s=%s ", c.Key, c.Value)
			}
			return out
		}
		expect := func(want string) {
			t.Helper()
			if got := list("$t/", "$t0", 0); got != want {
				t.Errorf("cells %s, want %s", got, want)
			}
		}
		put := func(key, value string, old *uint64) driver.CellOp {
			return driver.CellOp{Op: driver.Put, If: old, Cell: driver.Cell{Key: "$t/" + key, Value: []byte(value)}}
		}
		absent := new(uint64)
		v1, err := l.SwapCells(ctx, put("a", "1", absent), put("b", "1", nil))
		is(t, err, nil)
		expect("$t/a=1 $t/b=1 ")
		var lost *driver.CellError
		if _, err := l.SwapCells(ctx, put("b", "2", nil), put("a", "2", absent)); !errors.As(err, &lost) || lost.Version != v1 {
			t.Errorf("got %v", err)
		}
		expect("$t/a=1 $t/b=1 ")
		gone := driver.CellOp{Op: driver.Delete, Cell: driver.Cell{Key: "$t/b"}}
		v2, err := l.SwapCells(ctx, put("a", "3", &v1), gone, put("c", "3", nil))
		is(t, err, nil)
		if _, have, err := l.ReadCell(ctx, "$t/c"); have != v2 || err != nil || v2 <= v1 {
			t.Errorf("versions %d, %d, then %d, %v", v1, have, v2, err)
		}
		expect("$t/a=3 $t/c=3 ")
		if got := list("$t/b", "", 1); got != "$t/c=3 " {
			t.Errorf("from b: %s", got)
		}
	})
}
