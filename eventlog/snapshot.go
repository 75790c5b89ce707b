package eventlog

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// Snapshots are cells. They bound the cost of long streams and are never needed:
// one that does not fit (another model, other folds, upcasts or shape of the
// state, or an event at its version that is not the one it was made of) is
// ignored.

const (
	defaultSnapshot  = 128
	snapshotPatience = 10 * time.Second
)

func (m *Model[S]) every() int {
	if m.Snapshot == 0 {
		return defaultSnapshot
	}
	return m.Snapshot
}

// snapshotKey names everything that a snapshot depends on.
func (f *folding[S]) snapshotKey() string {
	h := xxhash.New()
	fmt.Fprintf(h, "%d %s", f.Version, shape(reflect.TypeFor[S](), nil))
	for _, fold := range f.Folds {
		fmt.Fprintf(h, " %q", fold.typ)
	}
	for _, from := range slices.Sorted(maps.Keys(f.log.casts)) {
		fmt.Fprintf(h, " %q>%q", from, f.log.casts[from].To)
	}
	return fmt.Sprintf("$snap\x01%s\x01%016x\x01%s", f.Name, h.Sum64(), f.stream)
}

// shape writes the parts of a type on which its JSON depends.
func shape(t reflect.Type, above []reflect.Type) string {
	if slices.Contains(above, t) {
		return t.String()
	}
	above = append(above, t)
	switch t.Kind() {
	case reflect.Struct:
		s := "{"
		for i := range t.NumField() {
			f := t.Field(i)
			s += fmt.Sprintf("%s %s %q;", f.Name, shape(f.Type, above), f.Tag.Get("json"))
		}
		return s + "}"
	case reflect.Map:
		return "map[" + shape(t.Key(), above) + "]" + shape(t.Elem(), above)
	case reflect.Slice, reflect.Array, reflect.Pointer:
		return t.Kind().String() + " " + shape(t.Elem(), above)
	}
	return t.Kind().String()
}

// snapshot writes the state as a snapshot when enough events came since the last
// one. It works in the background, one at a time; what comes meanwhile is
// dropped.
func (f *folding[S]) snapshot(s *sight) {
	if f.every() <= 0 || f.version-f.saved < uint64(f.every()) {
		return
	}
	l := f.log
	select {
	case l.snaps <- struct{}{}:
	default:
		return
	}
	f.saved = f.version
	copied, from := *f, *s
	copied.state = clone(f.state)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		<-l.snaps
		return
	}
	l.work.Go(func() {
		defer func() { <-l.snaps }()
		if err := copied.writeSnapshot(l.ctx, &from); err != nil && !errors.Is(err, ErrClosed) {
			l.opts.Logger.Warn("snapshot not written", "model", f.Name, "stream", f.stream, "err", err)
		}
	})
}

// writeSnapshot waits until all that the state is made of is durable. It may have seen
// pending commits that were lost, and behind them others that were placed anew: as long
// as the lane's epoch is the same, none was.
func (f *folding[S]) writeSnapshot(ctx context.Context, s *sight) error {
	durable, cancel := context.WithTimeout(ctx, snapshotPatience) // it may be lost instead
	defer cancel()
	if err := f.log.reaches(durable, s.lane.shard, f.rev); err != nil {
		return err
	}
	f.log.mu.Lock()
	lost := len(s.early) > 0 && s.epoch != s.lane.epoch
	f.log.mu.Unlock()
	if lost {
		return nil
	}
	if at, err := f.eventAt(ctx, f.version); err != nil || at.ID != f.last {
		return err // the write was lost: nothing to keep
	}
	data, err := json.Marshal(&f.state)
	if err != nil {
		return err
	}
	var back S
	if err := json.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(f.state, back) {
		return fmt.Errorf("state %T does not survive encoding/json (unexported fields?)", f.state)
	}
	value := append(binary.BigEndian.AppendUint64(f.last[:], f.version), data...)
	if len(value) > driver.MaxCommit {
		return fmt.Errorf("%w: snapshot of %d bytes", ErrTooLarge, len(value))
	}
	key := f.snapshotKey()
	_, old, err := f.log.ReadCell(ctx, key)
	if err != nil {
		return err
	}
	if _, err := f.log.SwapCell(ctx, key, old, value); err != nil {
		return err
	}
	if hook := f.log.opts.Hooks.Snapshot; hook != nil {
		hook(f.Name, len(value))
	}
	return nil
}

// eventAt returns the stored event at a version, a zero Record without one.
func (f *folding[S]) eventAt(ctx context.Context, version uint64) (Record, error) {
	for r, err := range f.log.Read(ctx, Query{Stream: f.stream, From: version, Limit: 1, Stored: true}) {
		if err != nil || r.Version == version {
			return r, err
		}
	}
	return Record{}, nil
}

// restore starts at a snapshot, if there is one that fits what the sight shows.
func (f *folding[S]) restore(ctx context.Context, s *sight) error {
	cell, err := f.log.cell(ctx, f.snapshotKey())
	if err != nil || cell.Version == 0 || len(cell.Value) < 24 {
		return err
	}
	version := binary.BigEndian.Uint64(cell.Value[16:])
	var state S
	if json.Unmarshal(cell.Value[24:], &state) != nil {
		return nil
	}
	at, err := f.eventAt(ctx, version)
	if err != nil || at.ID != ID(cell.Value[:16]) || at.Revision > s.tail {
		return err
	}
	f.state, f.version, f.last, f.rev, f.saved = state, version, at.ID, at.Revision, version
	return nil
}
