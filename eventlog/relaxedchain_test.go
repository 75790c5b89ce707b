package eventlog_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// TestRelaxedChains: appends that share a fold do not share a chain.
func TestRelaxedChains(t *testing.T) {
	t.Parallel()
	for _, indexed := range []bool{false, true} {
		l := over(t, memlog.Open(), &eventlog.Options{Shards: 1, FoldAfter: -1, Index: eventlog.Index{Correlations: indexed}})
		loose(t, l, "s", "1", "2")
		loose(t, l, "s", "3")
		_, err := l.Append(t.Context(), "s", &eventlog.AppendOptions{Relaxed: true, Meta: chained(7)}, entry{"4"})
		is(t, err, nil)
		fold(t, l)
		want(t, l, "s", "1 2 3 4")
		chain := func(id eventlog.ID) string {
			return texts(t, l.Read(t.Context(), eventlog.Query{Correlation: id}))
		}
		if got := chain(chained(7).Correlation); got != "4" {
			t.Errorf("the chain that was named holds %q", got)
		}
		for i, r := range collect(t, l.Read(t.Context(), eventlog.Query{Stream: "s"})) {
			expected := []string{"1 2", "1 2", "3", ""}[i]
			if !indexed {
				expected = ""
			}
			if got := chain(r.Commit()); got != expected {
				t.Errorf("indexed %t: the chain that %d starts holds %q, expected %q", indexed, i, got, expected)
			}
		}
	}
}

// TestImportRelaxedRefusals: an export that says what cannot be of relaxed appends is
// refused.
func TestImportRelaxedRefusals(t *testing.T) {
	t.Parallel()
	l := transferOpen(t, 1)
	loose(t, l, "a", "1", "2")
	loose(t, l, "b", "3")
	whole := transferExport(t, l)
	lines := strings.SplitAfter(whole, "\n")
	join := func(order ...int) string {
		var b strings.Builder
		for _, i := range order {
			b.WriteString(lines[i])
		}
		return b.String()
	}
	commit := strings.Index(lines[1], `,"commit"`)
	for name, c := range map[string]struct{ export, says string }{
		"apart":            {join(0, 1, 3, 2, 4), "do not stand together"},
		"not folded":       {strings.Replace(whole, lines[1][commit:commit+len(`,"commit":"01a202f2-6038-758e-ac7c-eaa1bb900000"`)], "", 1), "it was not folded"},
		"not all relaxed":  {strings.Replace(whole, lines[3], lines[3][:strings.Index(lines[3], `,"relaxed"`)]+"}\n", 1), "goes from revision 1 to 1"},
		"no name":          {strings.Replace(whole, `"cell":"0`, `"cell":"x`, 1), "not the name of a cell"},
		"another name":     {strings.Replace(whole, `"cell":"00000000000000000000.`, `"cell":"00000000000000000001.`, 1), "that saw revision 0"},
		"unknown member":   {strings.Replace(whole, `"seen":0`, `"seen":0,"x":1`, 1), "unknown field"},
		"negative":         {strings.Replace(whole, `"seen":0`, `"seen":-1`, 1), "seen"},
		"number twice":     {strings.Replace(whole, lines[2][:44], lines[1][:44], 1), "appears twice"},
		"its time is none": {strings.Replace(whole, `"time":"2`, `"time":"1`, 4), "time"},
	} {
		_, err := eventlog.Import(t.Context(), transferOpen(t, 1), strings.NewReader(c.export))
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%s: %v", name, err)
		}
		if errors.Is(err, eventlog.ErrUnavailable) {
			t.Errorf("%s: it is the store's fault: %v", name, err)
		}
	}
	again := transferOpen(t, 1)
	transferImport(t, again, whole)
	for _, stream := range []string{"a", "b"} {
		sameTimeline(t, timeline(t, l, stream), timeline(t, again, stream))
	}
}

// TestImportRelaxedIntoOtherShards: appends keep their ids and stand in the timeline
// where they were folded.
func TestImportRelaxedIntoOtherShards(t *testing.T) {
	t.Parallel()
	l := transferOpen(t, 1)
	for range 9 {
		add(t, l, "b", "0")
	}
	for i := range 8 {
		loose(t, l, string(rune('a'+i%3)), string(rune('0'+i)))
	}
	export := transferExport(t, l)
	to := transferOpen(t, 5)
	for range 2 {
		transferImport(t, to, export)
	}
	for _, stream := range []string{"a", "b", "c"} {
		was := collect(t, l.Read(t.Context(), eventlog.Query{Stream: stream}))
		for name, is := range map[string][]eventlog.Record{"reading": collect(t, to.Read(t.Context(), eventlog.Query{Stream: stream})), "timeline": timeline(t, to, stream)} {
			if len(was) != len(is) {
				t.Fatalf("%s of %s: %d records, expected %d", name, stream, len(is), len(was))
			}
			for i := range was {
				if was[i].ID != is[i].ID || was[i].Version != is[i].Version || (was[i].Relaxed == nil) != (is[i].Relaxed == nil) {
					t.Errorf("%s of %s: %+v is %+v", name, stream, was[i], is[i])
				}
			}
		}
	}
	is(t, eventlog.Check(t.Context(), to), nil)
	if diff := transferExport(t, to); !strings.Contains(diff, `"relaxed"`) {
		t.Error("its export says nothing of relaxed appends")
	}
}
