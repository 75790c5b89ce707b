package eventlog_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// unfolded are the options of a log that leaves folding to the test.
var unfolded = &eventlog.Options{Shards: 3, FoldAfter: -1}

// loose appends entries relaxed, which must succeed.
func loose(t testing.TB, l *eventlog.Log, stream string, texts ...string) {
	t.Helper()
	p, err := l.Append(context.Background(), stream, &eventlog.AppendOptions{Relaxed: true}, entries(texts...)...)
	if err != nil {
		t.Fatal(err)
	}
	if !p.IsZero() {
		t.Errorf("a relaxed append has position %s", p)
	}
}

// fold folds everything, which must succeed.
func fold(t testing.TB, l *eventlog.Log) eventlog.Position {
	t.Helper()
	p, err := l.Fold(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// timeline is that of a stream.
func timeline(t testing.TB, l *eventlog.Log, stream string) []eventlog.Record {
	t.Helper()
	return collect(t, l.Read(context.Background(), eventlog.Query{Stream: stream, Timeline: true}))
}

func timelineTexts(t testing.TB, l *eventlog.Log, stream string) string {
	t.Helper()
	return texts(t, l.Read(context.Background(), eventlog.Query{Stream: stream, Timeline: true}))
}

// TestRelaxedAppend: a relaxed append is durable without a place; a fold gives it
// one, where it keeps its id, what it had seen and its time.
func TestRelaxedAppend(t *testing.T) {
	t.Parallel()
	eachDriver(t, unfolded, func(t *testing.T, l *eventlog.Log) {
		add(t, l, "s", "1")
		_, err := l.Append(t.Context(), "s", &eventlog.AppendOptions{Relaxed: true, Tags: []string{"t"}, Meta: eventlog.Meta{Actor: "ada"}}, entries("2", "3")...)
		is(t, err, nil)
		loose(t, l, "s", "4")
		want(t, l, "s", "1")
		if got := update(t, l, func(tx *eventlog.Tx) error {
			d, err := diaries.Load(tx, "s")
			if err == nil && d.Text != "1 " {
				t.Errorf("an Update sees %q", d.Text)
			}
			return err
		}); got.IsZero() {
			t.Error("no position")
		}
		before := timeline(t, l, "s")
		if n := len(before); n != 4 || before[1].Version != 0 || before[1].Revision != 0 || before[1].Relaxed == nil || before[0].Relaxed != nil {
			t.Fatalf("the timeline holds %+v", before)
		}
		p := fold(t, l)
		after := collect(t, l.Read(t.Context(), eventlog.Query{Stream: "s"}))
		if got := texts(t, l.Read(t.Context(), eventlog.Query{Stream: "s", Tag: "t"})); got != "2 3" {
			t.Errorf("under the tag %q", got)
		}
		want(t, l, "s", "1 2 3 4")
		for i, r := range after {
			shard := r.Shard
			switch {
			case r.Version != uint64(i+1) || r.Revision == 0 || r.Revision > p.Revision(shard):
				t.Errorf("%d: version %d, revision %d, folded at %s", i, r.Version, r.Revision, p)
			case r.ID != before[i].ID || r.Commit() != before[i].Commit():
				t.Errorf("%d: id %s, before %s", i, r.ID, before[i].ID)
			case i > 0 && (r.Relaxed == nil || r.Relaxed.Seen != 1 || r.Relaxed.ID != r.Commit() || !r.Relaxed.Time.Before(r.Time)):
				t.Errorf("%d: %+v at %s", i, r.Relaxed, r.Time)
			case i > 0 && i < 3 && (r.Meta.Actor != "ada" || len(r.Tags) != 1 || r.Index != i-1):
				t.Errorf("%d: %+v", i, r)
			}
		}
		sameTimeline(t, before, timeline(t, l, "s"))
		is(t, eventlog.Check(t.Context(), l), nil)
		fold(t, l)
		want(t, l, "s", "1 2 3 4")
	})
}

// sameTimeline compares but for what a fold adds.
func sameTimeline(t testing.TB, before, after []eventlog.Record) {
	t.Helper()
	o := cmp.Options{cmpopts.IgnoreUnexported(eventlog.Record{}), cmpopts.EquateEmpty(),
		cmpopts.IgnoreFields(eventlog.Record{}, "Version", "Revision", "Time")}
	if diff := cmp.Diff(before, after, o); diff != "" {
		t.Errorf("the timeline changed (-before +after):\n%s", diff)
	}
}

// TestRelaxedRefusals: what cannot be is refused, alone, and leaves nothing.
func TestRelaxedRefusals(t *testing.T) {
	t.Parallel()
	l := over(t, memlog.Open(), unfolded)
	try := func(stream string, o eventlog.AppendOptions, events ...eventlog.Event) error {
		o.Relaxed = true
		_, err := l.Append(t.Context(), stream, &o, events...)
		return err
	}
	if err := try("s", eventlog.AppendOptions{Expect: eventlog.NoStream}, entry{"x"}); err == nil || !strings.Contains(err.Error(), "append s: a relaxed append cannot expect") {
		t.Errorf("with an expectation: %v", err)
	}
	is(t, try("", eventlog.AppendOptions{}, entry{"x"}), eventlog.ErrName)
	is(t, try("$s", eventlog.AppendOptions{}, entry{"x"}), eventlog.ErrName)
	is(t, try("s", eventlog.AppendOptions{Tags: []string{""}}, entry{"x"}), eventlog.ErrName)
	is(t, try("s", eventlog.AppendOptions{ID: "\n"}, entry{"x"}), eventlog.ErrName)
	is(t, try("s", eventlog.AppendOptions{Meta: eventlog.Meta{Actor: "\xff"}}, entry{"x"}), eventlog.ErrName)
	is(t, try("s", eventlog.AppendOptions{}, entry{strings.Repeat("x", eventlog.MaxEvent)}), eventlog.ErrTooLarge)
	is(t, try("s", eventlog.AppendOptions{}), nil)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := l.Append(ended, "s", &eventlog.AppendOptions{Relaxed: true}, entry{"x"})
	is(t, err, context.Canceled)
	if list, err := l.LooseShards(t.Context()); err != nil || len(list) > 0 {
		t.Errorf("something was left: %v, %v", list, err)
	}
	if _, err := l.FoldShard(t.Context(), 3); err == nil {
		t.Error("a shard that is not there is folded")
	}
	for _, q := range []eventlog.Query{{Timeline: true}, {Timeline: true, Shards: []int{0, 1}}, {Timeline: true, Stream: "s", Backward: true},
		{Timeline: true, Stream: "s", Follow: true}, {Timeline: true, Stream: "s", From: 1}, {Timeline: true, Shards: []int{0}, After: eventlog.Position{}.With(0, 1)}} {
		if err := last(l.Read(t.Context(), q)); err == nil {
			t.Errorf("%+v is read", q)
		}
	}
	_, err = l.Update(t.Context(), func(tx *eventlog.Tx) error { return last(tx.Read(eventlog.Query{Timeline: true, Stream: "s"})) })
	if err == nil {
		t.Error("a transaction reads a timeline")
	}
}

// TestRelaxedLargest: what the limits allow can be folded.
func TestRelaxedLargest(t *testing.T) {
	t.Parallel()
	l := over(t, memlog.Open(), &eventlog.Options{Shards: 1, FoldAfter: -1, Index: eventlog.Index{Types: true, Correlations: true}})
	taken := 0
	for n := 889_000; n < 890_000; n += 23 {
		half := n / 2
		_, err := l.Append(t.Context(), "s", &eventlog.AppendOptions{Relaxed: true, ID: fmt.Sprint(n), Tags: []string{"a", "b"}},
			entry{strings.Repeat("x", half)}, entry{strings.Repeat("y", n-half)})
		if err == nil {
			taken++
		} else {
			is(t, err, eventlog.ErrTooLarge)
		}
	}
	fold(t, l)
	if got := len(collect(t, l.Read(t.Context(), eventlog.Query{Stream: "s"}))); got != 2*taken || taken < 3 || taken > 40 {
		t.Errorf("%d events of %d appends", got, taken)
	}
	var tags []string
	for i := range eventlog.MaxTags {
		tags = append(tags, fmt.Sprint("tag", i))
	}
	var list []eventlog.Event
	for i := range 300 {
		for j := range tags {
			tags[j] = fmt.Sprint("tag", i%70, ".", j)
		}
		list = append(list, eventlog.Tagged(entry{"x"}, tags...))
	}
	for range 6 { // each has most of the keys that a commit may have
		_, err := l.Append(t.Context(), "s", &eventlog.AppendOptions{Relaxed: true}, list...)
		is(t, err, nil)
	}
	fold(t, l)
}

// TestRelaxedID: the first append with an id stays, whatever comes again and how.
func TestRelaxedID(t *testing.T) {
	t.Parallel()
	eachDriver(t, unfolded, func(t *testing.T, l *eventlog.Log) {
		strict := func(id string, relaxed bool, text string) error {
			_, err := l.Append(t.Context(), "s", &eventlog.AppendOptions{ID: id, Relaxed: relaxed}, entry{text})
			return err
		}
		is(t, strict("a", true, "1"), nil)
		is(t, strict("a", true, "1"), nil)
		is(t, strict("a", true, "other"), nil)
		is(t, strict("b", true, "2"), nil)
		is(t, strict("b", false, "2"), nil) // the strict one has its place first
		fold(t, l)
		want(t, l, "s", "2 1")
		is(t, strict("a", true, "1"), nil)
		is(t, strict("a", false, "1"), nil)
		is(t, strict("a", false, "other"), eventlog.ErrIDReused)
		_, err := l.Append(t.Context(), "s", &eventlog.AppendOptions{ID: "c", Relaxed: true})
		is(t, err, nil)
		p := fold(t, l)
		want(t, l, "s", "2 1")
		is(t, strict("c", false, "3"), eventlog.ErrIDReused)
		if again := fold(t, l); again.String() != p.String() {
			t.Errorf("a fold of nothing goes from %s to %s", p, again)
		}
		if list, err := l.LooseShards(t.Context()); err != nil || len(list) > 0 {
			t.Errorf("left: %v, %v", list, err)
		}
	})
}

// TestRelaxedIDTold: an id that comes with other content is told.
func TestRelaxedIDTold(t *testing.T) {
	t.Parallel()
	var infos []eventlog.FoldInfo
	l := over(t, memlog.Open(), &eventlog.Options{Shards: 1, FoldAfter: -1, Hooks: eventlog.Hooks{Fold: func(f eventlog.FoldInfo) { infos = append(infos, f) }}})
	for _, text := range []string{"1", "1", "other"} {
		_, err := l.Append(t.Context(), "s", &eventlog.AppendOptions{ID: "a", Relaxed: true}, entry{text})
		is(t, err, nil)
	}
	fold(t, l)
	want := []eventlog.FoldInfo{{Cells: 3, Appends: 1, Events: 1, Repeated: 2, Reused: 1}}
	if diff := cmp.Diff(want, infos, cmpopts.IgnoreFields(eventlog.FoldInfo{}, "Lag", "Duration")); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// TestRelaxedShareCell: while a put is under way the next callers queue up and share
// the next cell; all are folded in one commit.
func TestRelaxedShareCell(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	var mu sync.Mutex
	var puts []eventlog.LooseInfo
	f := drivertest.NewFaulty(memlog.Open(), nil)
	l := over(t, f, &eventlog.Options{Shards: 1, FoldAfter: -1, Hooks: eventlog.Hooks{Loose: func(p eventlog.LooseInfo) {
		mu.Lock()
		defer mu.Unlock()
		puts = append(puts, p)
	}}})
	f.Inject(holdWrites(gate))
	var answers []<-chan error
	for i := range 100 {
		answers = append(answers, begin(func() error {
			_, err := l.Append(t.Context(), fmt.Sprint("s/", i%7), &eventlog.AppendOptions{Relaxed: true}, entry{fmt.Sprint(i)})
			return err
		}))
	}
	for f.Calls("Write") < 2 {
		time.Sleep(time.Millisecond)
	}
	unanswered(t, "a relaxed append", answers[0])
	close(gate)
	for _, a := range answers {
		is(t, <-a, nil)
	}
	f.Inject(nil)
	if n := f.Calls("Write") - 1; n > 10 {
		t.Errorf("%d puts of 100 appends", n)
	}
	writes := f.Calls("Write")
	if p := fold(t, l); p.Revision(0) != 1 || f.Calls("Write")-writes != 1 {
		t.Errorf("100 appends are folded in %d writes, up to %s", f.Calls("Write")-writes, p)
	}
	total := 0
	for _, p := range puts {
		total += p.Appends
	}
	if total != 100 {
		t.Errorf("the hook was told of %d appends: %+v", total, puts)
	}
}

// TestRelaxedOrder: what one caller appended one after the other stays so, however
// it is folded.
func TestRelaxedOrder(t *testing.T) {
	t.Parallel()
	eachDriver(t, unfolded, func(t *testing.T, l *eventlog.Log) {
		var wg sync.WaitGroup
		stop := make(chan struct{})
		wg.Go(func() {
			for {
				fold(t, l)
				select {
				case <-stop:
					return
				default:
				}
			}
		})
		var callers sync.WaitGroup
		for c := range 8 {
			callers.Go(func() {
				for i := range 50 {
					loose(t, l, fmt.Sprint("s/", c), fmt.Sprint(i))
				}
			})
		}
		callers.Wait()
		close(stop)
		wg.Wait()
		fold(t, l)
		for c := range 8 {
			got := strings.Fields(texts(t, l.Read(t.Context(), eventlog.Query{Stream: fmt.Sprint("s/", c)})))
			for i := range 50 {
				if len(got) != 50 || got[i] != fmt.Sprint(i) {
					t.Fatalf("caller %d: %v", c, got)
				}
			}
		}
	})
}

// TestRelaxedMissedCell: a reading of cells that misses one and shows a later one
// does not turn the two around.
func TestRelaxedMissedCell(t *testing.T) {
	t.Parallel()
	d := &missing{Log: memlog.Open()}
	l := over(t, d, &eventlog.Options{Shards: 1, FoldAfter: -1})
	loose(t, l, "s", "1")
	loose(t, l, "s", "2")
	loose(t, l, "s", "3")
	d.hidden = []int{2, 1}
	_, err := l.FoldShard(t.Context(), 0)
	is(t, err, nil)
	fold(t, l)
	want(t, l, "s", "1 2 3")
	if len(d.hidden) > 0 {
		t.Error("the cells were not read again")
	}
}

// missing is a log whose next readings of cells do not show the first ones: they came
// when the reading was already behind their places.
type missing struct {
	driver.Log
	hidden []int // how many, of each reading
}

func (m *missing) Cells(ctx context.Context, from, to string, limit int) iter.Seq2[driver.Cell, error] {
	hide := 0
	if len(m.hidden) > 0 {
		hide, m.hidden = m.hidden[0], m.hidden[1:]
	}
	return func(yield func(driver.Cell, error) bool) {
		for c, err := range m.Log.Cells(ctx, from, to, limit) {
			if hide > 0 && err == nil {
				hide--
				continue
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

// TestTimelineOrder: strict commits and relaxed appends of several processes stand
// by what they saw, their time and their id, before and after they are folded, also
// while a part of them is.
func TestTimelineOrder(t *testing.T) {
	t.Parallel()
	store := memlog.NewStore()
	o := eventlog.Options{Shards: 1, FoldAfter: -1}
	a, _ := process(t, store, o, 0)
	b, _ := process(t, store, o, -300*time.Millisecond)
	for i := range 30 {
		l := a
		if i%2 == 1 {
			l = b
		}
		switch i % 5 {
		case 0:
			add(t, a, "s", fmt.Sprint("strict", i))
		case 3:
			loose(t, l, "s", fmt.Sprint("r", i, "a"), fmt.Sprint("r", i, "b"))
		default:
			loose(t, l, "s", fmt.Sprint("r", i))
		}
		if i == 17 {
			_, err := a.FoldShard(t.Context(), 0)
			is(t, err, nil)
			loose(t, b, "s", "old") // it has seen no more than before
		}
	}
	before := timeline(t, a, "s")
	if !slices.IsSortedFunc(before, comparePlaces) {
		t.Errorf("not in order: %v", before)
	}
	if len(before) != 6+6*2+18+1 {
		t.Errorf("%d records", len(before))
	}
	fold(t, b)
	after := timeline(t, a, "s")
	sameTimeline(t, before, after)
	sameTimeline(t, after, timeline(t, b, "s"))
	part := collect(t, a.Read(t.Context(), eventlog.Query{Stream: "s", Timeline: true, Since: before[5].Relaxed.Time, Limit: 3}))
	if len(part) != 3 || !slices.ContainsFunc(part, func(r eventlog.Record) bool { return r.ID == before[5].ID }) {
		t.Errorf("since %s: %v", before[5].Relaxed.Time, part)
	}
}

// comparePlaces orders records as a timeline is.
func comparePlaces(a, b eventlog.Record) int {
	return cmpPlace(a).compare(cmpPlace(b))
}

type placeOf struct {
	seen driver.Revision
	time time.Time
	id   string
}

func cmpPlace(r eventlog.Record) placeOf {
	if r.Relaxed != nil {
		return placeOf{r.Relaxed.Seen, r.Relaxed.Time, r.ID.String()}
	}
	return placeOf{r.Revision - 1, r.Time, r.ID.String()}
}

func (p placeOf) compare(o placeOf) int {
	if p.seen != o.seen {
		return int(p.seen) - int(o.seen)
	}
	if c := p.time.Compare(o.time); c != 0 {
		return c
	}
	return strings.Compare(p.id, o.id)
}

// TestRelaxedSeen: what a process appends stands behind what it has read, strict or
// loose.
func TestRelaxedSeen(t *testing.T) {
	t.Parallel()
	store := memlog.NewStore()
	o := eventlog.Options{Shards: 1, FoldAfter: -1}
	a, _ := process(t, store, o, 0)
	b, _ := process(t, store, o, -300*time.Millisecond) // a clock that would put it before
	add(t, a, "s", "1")
	loose(t, a, "s", "2")
	if got := timelineTexts(t, b, "s"); got != "1 2" {
		t.Errorf("the timeline shows %q", got)
	}
	loose(t, b, "s", "3")
	fold(t, a)
	collect(t, b.Read(t.Context(), eventlog.Query{Stream: "s"}))
	loose(t, b, "s", "4")
	for _, l := range []*eventlog.Log{a, b} {
		if got := timelineTexts(t, l, "s"); got != "1 2 3 4" {
			t.Errorf("the timeline shows %q", got)
		}
	}
}

// TestTimelineWhileFolded: what is folded while a timeline is read is in it once, in
// its place, also where a fold takes cells of which some were passed already, and one
// that came too late.
func TestTimelineWhileFolded(t *testing.T) {
	t.Parallel()
	store := memlog.NewStore()
	o := eventlog.Options{Shards: 1, FoldAfter: -1}
	old, _ := process(t, store, o, 0)
	l, _ := process(t, store, o, 0)
	add(t, l, "s", "first")
	const n = 300
	for range n {
		loose(t, l, "s", strings.Repeat("x", 10_000))
	}
	seen, last := map[eventlog.ID]int{}, (*eventlog.Record)(nil)
	for r, err := range l.Read(t.Context(), eventlog.Query{Stream: "s", Timeline: true}) {
		is(t, err, nil)
		if len(seen) == 2 {
			_, err := l.FoldShard(t.Context(), 0)
			is(t, err, nil)
			loose(t, old, "s", "late")
			fold(t, l)
		}
		if last != nil && comparePlaces(*last, r) >= 0 {
			t.Errorf("%s stands behind %s", r.ID, last.ID)
		}
		if seen[r.ID]++; seen[r.ID] > 1 {
			t.Errorf("%s comes again", r.ID)
		}
		last = &r
	}
	if len(seen) != 1+n {
		t.Errorf("%d of %d", len(seen), 1+n)
	}
}
