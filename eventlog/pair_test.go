package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// TestAgainstReference runs random transactions, appends and readings through
// two processes that are closed and opened now and then, and through plain
// maps, and compares everything that both show.
func TestAgainstReference(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := newPair(t)
		defer p.close()
		t.Repeat(map[string]func(*rapid.T){
			"update": p.update,
			"append": p.append,
			"view":   p.view,
			"read":   p.read,
			"reopen": p.reopen,
		})
		if err := eventlog.Check(context.Background(), p.log(0)); err != nil {
			t.Fatal(err)
		}
	})
}

// pair is two processes on one store, and the reference.
type pair struct {
	store *memlog.Store
	logs  [2]*eventlog.Log
	ref   *reference
	n     int // texts drawn
}

func newPair(t *rapid.T) *pair {
	p := &pair{store: memlog.NewStore(), ref: &reference{make(map[string][]refEvent), make(map[string]string), make(map[string]string)}}
	for i := range p.logs {
		p.open(t, i)
	}
	return p
}

func (p *pair) open(t *rapid.T, i int) {
	l, err := eventlog.Open(context.Background(), p.store.Open(), &eventlog.Options{Shards: 3})
	if err != nil {
		t.Fatal(err)
	}
	p.logs[i] = l
}

func (p *pair) close() {
	for _, l := range p.logs {
		_ = l.Close()
	}
}

func (p *pair) log(i int) *eventlog.Log { return p.logs[i] }

func (p *pair) draw(t *rapid.T) *eventlog.Log {
	return p.logs[rapid.IntRange(0, 1).Draw(t, "process")]
}

func (p *pair) text() string { p.n++; return fmt.Sprint(p.n) }

func (p *pair) reopen(t *rapid.T) {
	i := rapid.IntRange(0, 1).Draw(t, "process")
	if err := p.logs[i].Close(); err != nil {
		t.Fatal(err)
	}
	p.open(t, i)
}

func (p *pair) steps(t *rapid.T, ops []string, depth int) (list []step) {
	for range rapid.IntRange(1, 5).Draw(t, "steps") {
		s := step{Op: rapid.SampledFrom(ops).Draw(t, "op"), Stream: rapid.SampledFrom(refStreams).Draw(t, "stream"),
			Tag: rapid.SampledFrom(refTags).Draw(t, "tag"), Key: rapid.SampledFrom(refKeys).Draw(t, "key"),
			Chain: rapid.SampledFrom(refChains).Draw(t, "chain"), Text: p.text()}
		if s.Op == "savepoint" || s.Op == "scope" {
			if depth == 0 {
				continue
			}
			s.Fail, s.Inner = rapid.Bool().Draw(t, "fail"), p.steps(t, ops, depth-1)
		}
		list = append(list, s)
	}
	return list
}

func (p *pair) update(t *rapid.T) {
	steps := p.steps(t, slices.Concat(refReads, refWrites), 3)
	fail := rapid.IntRange(0, 4).Draw(t, "fail") == 0
	after := p.ref.clone()
	want := after.play(steps, new(refMeta))
	var saw []string
	_, err := p.draw(t).Update(context.Background(), func(tx *eventlog.Tx) (err error) {
		saw, err = playSteps(tx, steps) // of the last run
		if fail && err == nil {
			err = errNo
		}
		return err
	})
	p.compare(t, steps, want, saw)
	switch {
	case fail && !errors.Is(err, errNo), !fail && err != nil:
		t.Fatal(err)
	case !fail:
		p.ref = after
	}
}

func (p *pair) view(t *rapid.T) {
	steps := p.steps(t, refReads, 0)
	var saw []string
	if err := p.draw(t).View(context.Background(), func(tx *eventlog.Tx) (err error) {
		saw, err = playSteps(tx, steps)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	p.compare(t, steps, p.ref.clone().play(steps, new(refMeta)), saw)
}

func (p *pair) compare(t *rapid.T, steps any, want, saw []string) {
	if diff := cmp.Diff(want, saw); diff != "" {
		t.Fatalf("%+v saw (-expected +seen):\n%s", steps, diff)
	}
}

// append expects a version, and may repeat an id.
func (p *pair) append(t *rapid.T) {
	stream := rapid.SampledFrom(refStreams).Draw(t, "stream")
	o := &eventlog.AppendOptions{}
	want := error(nil)
	if rapid.Bool().Draw(t, "expect?") {
		v := rapid.IntRange(max(0, len(p.ref.streams[stream])-1), len(p.ref.streams[stream])+1).Draw(t, "version")
		o.Expect = eventlog.Exactly(uint64(v))
		if v != len(p.ref.streams[stream]) {
			want = eventlog.ErrConflict
		}
	}
	text, repeated := p.text(), false
	if rapid.Bool().Draw(t, "id?") {
		o.ID = rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "id")
		if rapid.Bool().Draw(t, "same") {
			text = "text-of-" + o.ID
		}
		if content, ok := p.ref.ids[stream+" "+o.ID]; ok && content == text {
			want, repeated = nil, true
		} else if ok {
			want = eventlog.ErrIDReused
		}
	}
	_, err := p.draw(t).Append(context.Background(), stream, o, entry{text})
	if !errors.Is(err, want) {
		t.Fatalf("append %q to %s with %+v: %v, expected %v", text, stream, o, err, want)
	}
	if err != nil || repeated {
		return
	}
	p.ref.append(stream, text, "", new(refMeta))
	if o.ID != "" {
		p.ref.ids[stream+" "+o.ID] = text
	}
}

// read looks from outside of transactions.
func (p *pair) read(t *rapid.T) {
	l, stream := p.draw(t), rapid.SampledFrom(refStreams).Draw(t, "stream")
	list := p.ref.texts(stream)
	from, to := rapid.IntRange(0, len(list)+1).Draw(t, "from"), rapid.IntRange(0, len(list)+1).Draw(t, "to")
	q := eventlog.Query{Stream: stream, From: uint64(from), To: uint64(to)}
	end := len(list)
	if to > 0 {
		end = min(to, end)
	}
	want := list[min(max(from, 1)-1, end):end]
	if got := texts(t, l.Read(context.Background(), q)); got != strings.Join(want, " ") {
		t.Fatalf("%+v yields %q, expected %q", q, got, want)
	}
	d, err := diaries.At(context.Background(), l, eventlog.Query{Stream: stream, To: q.To})
	if err != nil || strings.TrimSpace(d.Text) != strings.Join(list[:end], " ") {
		t.Fatalf("%s at version %d is %+v, %v", stream, to, d, err)
	}
	p.readChain(t, l, rapid.SampledFrom(refChains).Draw(t, "chain"))
	var streams, expected []string
	for _, s := range collect(t, l.Streams(context.Background(), "")) {
		streams = append(streams, fmt.Sprint(s.Stream, s.Version))
	}
	for _, s := range refStreams {
		if n := len(p.ref.streams[s]); n > 0 {
			expected = append(expected, fmt.Sprint(s, n))
		}
	}
	p.compare(t, "streams", expected, streams)
}

// readChain looks for a chain from outside, in both directions.
func (p *pair) readChain(t *rapid.T, l *eventlog.Log, chain byte) {
	q := eventlog.Query{Correlation: eventlog.ID{chain}}
	forward := strings.Fields(texts(t, l.Read(context.Background(), q)))
	q.Backward = true
	backward := strings.Fields(texts(t, l.Read(context.Background(), q)))
	slices.Reverse(backward)
	p.compare(t, "a chain and the same backward", append([]string{}, forward...), append([]string{}, backward...))
	slices.Sort(forward)
	p.compare(t, fmt.Sprint("chain ", chain), append([]string{}, p.ref.chain(chain)...), append([]string{}, forward...))
}
