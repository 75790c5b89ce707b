package eventlog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"pgregory.net/rapid"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/internal/sys"
)

// transferNames are stream, tag, table and id names that an escaping could lose.
var transferNames = []string{"a", "account/ada", "account/{g}/1", "b{g}", `qu"ote`, `back\slash`, "a/b|c@d#e", "ünï cödé", "<&>", "\u2028", "1", "{}"}

func transferName(t *rapid.T, what string) string {
	return rapid.SampledFrom(transferNames).Draw(t, what)
}

func transferEvent(t *rapid.T) eventlog.Event {
	raw := eventlog.Raw{Type: transferName(t, "type")}
	switch rapid.IntRange(0, 4).Draw(t, "payload") {
	case 0:
		raw.Data = []byte(`{"a": 1,  "b":"<\u00e9>","big":123456789012345678901234567890}`)
	case 1:
		raw.Data = []byte("{\n\"line\": 1}")
	case 2:
		raw.Data = rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "bytes")
	case 3:
		raw.Data, raw.Codec = []byte("123"), "cbor"
	case 4:
		raw.Data = []byte("null")
	}
	return eventlog.Tagged(raw, rapid.SliceOfNDistinct(rapid.SampledFrom(transferNames), 0, 3, rapid.ID[string]).Draw(t, "tags")...)
}

func transferMeta(t *rapid.T) eventlog.Meta {
	if rapid.Bool().Draw(t, "no meta") {
		return eventlog.Meta{}
	}
	m := eventlog.Meta{Actor: transferName(t, "actor"), Extra: map[string]string{transferName(t, "key"): "v\n"}}
	m.Correlation[3], m.Causation[5] = rapid.Byte().Draw(t, "correlation"), rapid.Byte().Draw(t, "causation")
	return m
}

// transferWrite does a random thing to a log.
func transferWrite(t *rapid.T, l *eventlog.Log, system bool) {
	if rapid.IntRange(0, 3).Draw(t, "relaxed") == 0 {
		transferRelaxed(t, l)
		return
	}
	_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
		*tx.Meta() = transferMeta(t)
		return transferDo(t, tx, system, 2)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// transferRelaxed appends relaxed, mostly several before somebody folds them.
func transferRelaxed(t *rapid.T, l *eventlog.Log) {
	for range rapid.IntRange(1, 4).Draw(t, "appends") {
		o := &eventlog.AppendOptions{Relaxed: true, Meta: transferMeta(t)}
		if rapid.Bool().Draw(t, "with id") {
			o.ID = transferName(t, "id")
		}
		var events []eventlog.Event
		for range rapid.IntRange(1, 3).Draw(t, "events") {
			events = append(events, transferEvent(t))
		}
		if _, err := l.Append(t.Context(), transferName(t, "stream"), o, events...); err != nil {
			t.Fatal(err)
		}
	}
	if rapid.Bool().Draw(t, "fold") {
		if _, err := l.Fold(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// transferDo does random things in a transaction or a scope.
func transferDo(t *rapid.T, tx *eventlog.Tx, system bool, depth int) error {
	table := eventlog.Table[string]{Name: transferName(t, "table")}
	for range rapid.IntRange(1, 5).Draw(t, "operations") {
		var err error
		switch op := rapid.IntRange(0, 11).Draw(t, "operation"); op {
		case 0:
			_, err = tx.Once(transferName(t, "stream"), transferName(t, "id"))
		case 1:
			err = table.Put(tx, transferName(t, "key"), "<value>")
		case 2:
			err = table.Delete(tx, transferName(t, "key"))
		case 3:
			undone := errors.New("undone")
			if err = tx.Savepoint(func() error { return errors.Join(tx.Append(transferName(t, "stream"), transferEvent(t)), undone) }); errors.Is(err, undone) {
				err = nil
			}
		case 4:
			if system {
				shard := rapid.IntRange(0, tx.Log().Shards()-1).Draw(t, "shard")
				err = tx.Append(fmt.Sprintf("$steps/%d", shard), sys.Event{Type: "$step", Data: []byte(`{}`), Tags: []string{"$step/1"}})
			}
		case 5, 6:
			if depth > 0 {
				err = tx.Scope(transferMeta(t), func() error { return transferDo(t, tx, system, depth-1) })
			}
		default:
			err = tx.Append(transferName(t, "stream"), transferEvent(t))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func transferLog(t *rapid.T, system bool) *eventlog.Log {
	l := transferOpen(t, rapid.SampledFrom([]int{1, 3, 16}).Draw(t, "shards"))
	for range rapid.IntRange(0, 12).Draw(t, "transactions") {
		transferWrite(t, l, system)
	}
	return l
}

type transferTB interface {
	Context() context.Context
	Cleanup(func())
	Fatal(...any)
	Helper()
}

func transferOpen(t transferTB, shards int) *eventlog.Log {
	t.Helper()
	l, err := eventlog.Open(t.Context(), memlog.Open(), &eventlog.Options{Shards: shards})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(eventlog.Check(context.Background(), l), l.Close()); err != nil {
			t.Fatal(err)
		}
	})
	return l
}

func transferExport(t transferTB, l *eventlog.Log) string {
	t.Helper()
	var out bytes.Buffer
	if err := eventlog.Export(t.Context(), l, &out, nil); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func transferImport(t transferTB, l *eventlog.Log, export string) eventlog.ImportResult {
	t.Helper()
	result, err := eventlog.Import(t.Context(), l, strings.NewReader(export))
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func transferPosition(t transferTB, l *eventlog.Log) eventlog.Position {
	t.Helper()
	p, err := l.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}
