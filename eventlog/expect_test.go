package eventlog_test

import (
	"errors"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
)

// TestExpect: an append goes through only if its stream has the version that it
// expects; the error says what it has.
func TestExpect(t *testing.T) {
	t.Parallel()
	eachDriver(t, nil, func(t *testing.T, l *eventlog.Log) {
		versions := map[string]uint64{"none": 0, "one": 1, "seven": 7}
		add(t, l, "one", "a")
		add(t, l, "seven", "a", "b", "c")
		add(t, l, "seven", "d", "e", "f", "g")
		for stream, have := range versions {
			for _, c := range []struct {
				expect eventlog.Expect
				want   uint64
			}{
				{eventlog.NoStream, 0}, {eventlog.Exactly(0), 0}, {eventlog.Exactly(1), 1}, {eventlog.Exactly(6), 6},
				{eventlog.Exactly(7), 7}, {eventlog.Exactly(8), 8}, {eventlog.Exactly(1 << 63), 1 << 63},
			} {
				if c.want == have {
					continue
				}
				_, err := l.Append(t.Context(), stream, &eventlog.AppendOptions{Expect: c.expect}, entry{"no"})
				var version *eventlog.VersionError
				if !errors.As(err, &version) || *version != (eventlog.VersionError{Stream: stream, Want: c.want, Have: have}) {
					t.Errorf("%s at %d, expected at %d: %v", stream, have, c.want, err)
				}
				is(t, err, eventlog.ErrConflict)
			}
			_, err := l.Append(t.Context(), stream, &eventlog.AppendOptions{Expect: eventlog.Exactly(have)}, entry{"y"}, entry{"z"})
			is(t, err, nil)
			_, err = l.Append(t.Context(), stream, &eventlog.AppendOptions{Expect: eventlog.Exactly(have)}, entry{"no"})
			is(t, err, eventlog.ErrConflict)
			_, err = l.Append(t.Context(), stream, nil, entry{"any"})
			is(t, err, nil)
		}
		want(t, l, "none", "y z any")
		want(t, l, "one", "a y z any")
		want(t, l, "seven", "a b c d e f g y z any")
	})
}

// TestExpectWithoutEvents: an append of nothing still checks.
func TestExpectWithoutEvents(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	add(t, l, "s", "a")
	_, err := l.Append(t.Context(), "s", &eventlog.AppendOptions{Expect: eventlog.Exactly(1)})
	is(t, err, nil)
	_, err = l.Append(t.Context(), "s", &eventlog.AppendOptions{Expect: eventlog.NoStream})
	is(t, err, eventlog.ErrConflict)
	p, err := l.Append(t.Context(), "s", nil)
	is(t, err, nil)
	if !p.IsZero() {
		t.Errorf("an append of nothing is at %s", p)
	}
	want(t, l, "s", "a")
}
