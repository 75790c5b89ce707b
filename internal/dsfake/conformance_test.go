package dsfake_test

import (
	"strings"
	"testing"
)

// promise is one of what a server of the API does, as a transcript that every leg must
// give, but for differences that are known.
type promise struct {
	name   string
	run    func(r *rig) string
	want   string
	except map[string]difference // by leg
}

// difference is what a leg does instead, and why that is so.
type difference struct{ want, why string }

// TestConformance holds the fake in both modes and both emulators against one table.
func TestConformance(t *testing.T) {
	t.Parallel()
	var table []promise
	for _, part := range [][]promise{mutations, limits, queries, transactions} {
		table = append(table, part...)
	}
	for _, l := range legs {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			l.open(t) // skips all if there is none
			for _, p := range table {
				t.Run(p.name, func(t *testing.T) {
					t.Parallel()
					p.hold(t, newRig(t, l))
				})
			}
		})
	}
}

func (p promise) hold(t *testing.T, r *rig) {
	want, why := p.want, ""
	if d, ok := p.except[r.leg]; ok {
		want, why = d.want, " (differs: "+d.why+")"
	}
	if got := p.run(r); got != want {
		t.Errorf("%s%s\ngot  %s\nwant %s", p.name, why, got, want)
	}
}

// steps joins what calls answered, evaluated in order.
func steps(answers ...string) string { return strings.Join(answers, ", ") }
