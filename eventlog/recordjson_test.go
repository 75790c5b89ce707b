package eventlog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

func TestRecordAsJSON(t *testing.T) {
	t.Parallel()
	id := eventlog.ID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0, 2}
	r := eventlog.Record{ID: id, Stream: `a/"b"`, Version: 3, Shard: 4, Revision: 5, Index: 1, Time: time.Unix(1, 20).UTC(),
		Type: "<t>", Data: []byte(`{"n": 1.50, "html":"<&>"}`), Tags: []string{"x", "ü"},
		Meta: eventlog.Meta{Correlation: id, Actor: "me", Extra: map[string]string{"z": "1", "a": "\n"}}}
	const head = `{"id":"01020304-0506-0708-090a-0b0c0d0e0002","stream":"a/\"b\"","version":3,"shard":4,"revision":5,"time":"1970-01-01T00:00:01.00000002Z","type":"<t>",`
	const tail = `,"tags":["x","ü"],"meta":{"correlation":"01020304-0506-0708-090a-0b0c0d0e0002","actor":"me","extra":{"a":"\n","z":"1"}}}`
	for _, c := range []struct{ codec, data, want string }{
		{"", `{"n": 1.50, "html":"<&>"}`, head + `"data":{"n": 1.50, "html":"<&>"}` + tail},
		{"", "null", head + `"data":null` + tail},
		{"", "", head + `"data_base64":""` + tail},
		{"", "{\n}", head + `"data_base64":"ewp9"` + tail},
		{"", " 1", head + `"data_base64":"IDE="` + tail},
		{"", "\"\xff\"", head + `"data_base64":"Iv8i"` + tail},
		{"cbor", "1", head + `"codec":"cbor","data_base64":"MQ=="` + tail},
	} {
		r.Codec, r.Data = c.codec, []byte(c.data)
		line, err := r.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, string(line)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.data, diff)
		}
		var back eventlog.Record
		if err := json.Unmarshal(line, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, back, cmpopts.IgnoreUnexported(eventlog.Record{})); diff != "" {
			t.Errorf("%q read back (-want +got):\n%s", c.data, diff)
		}
	}
}

func TestRecordAsJSONAndBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		for _, r := range transferRecords(t, transferLog(t, true)) {
			line, err := r.MarshalJSON()
			if err != nil || bytes.ContainsAny(line, "\r\n") {
				t.Fatalf("%v\n%s", err, line)
			}
			var back eventlog.Record
			if err := json.Unmarshal(line, &back); err != nil {
				t.Fatalf("%v\n%s", err, line)
			}
			if diff := cmp.Diff(r, back, cmpopts.IgnoreUnexported(eventlog.Record{}), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("-written +read\n%s\n%s", diff, line)
			}
		}
	})
}

// What JSON cannot hold is an error, not another text.
func TestRecordThatJSONCannotHold(t *testing.T) {
	t.Parallel()
	for _, m := range []eventlog.Meta{
		{Actor: "\xff"}, {Traceparent: "\xff"}, {Extra: map[string]string{"k": "\xff"}}, {Extra: map[string]string{"\xff": ""}},
	} {
		r := eventlog.Record{Stream: "a", Version: 1, Meta: m}
		if line, err := r.MarshalJSON(); err == nil || !strings.Contains(err.Error(), "a version 1: metadata or codec is not UTF-8") {
			t.Errorf("%+v: %s, %v", m, line, err)
		}
	}
}

func TestRecordRefusesOtherJSON(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`{"id":"x"}`: `"x"`,
		`{"id":"01020304-0506-0708-090a-0b0c0d0e0000","data":1}`:                    "not that of an event",
		`{"id":"01020304-0506-0708-090a-0b0c0d0e0001"}`:                             "neither data nor data_base64",
		`{"id":"01020304-0506-0708-090a-0b0c0d0e0001","data":1,"data_base64":"MQ"}`: "illegal base64",
		`{"id":"01020304-0506-0708-090a-0b0c0d0e0001","data":1,"kind":"row"}`:       `unknown field "kind"`,
		`{"id":"01020304-0506-0708-090a-0b0c0d0e0001","version":-1}`:                "version",
		`[]`: "array",
	} {
		var r eventlog.Record
		if err := r.UnmarshalJSON([]byte(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", line, err, want)
		}
	}
}

func ExampleExport() {
	ctx := context.Background()
	log, err := eventlog.Open(ctx, memlog.Open(), &eventlog.Options{Shards: 4})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer log.Close()
	if err := eventlog.Export(ctx, log, os.Stdout, nil); err != nil {
		fmt.Println(err)
	}
	// Output:
	// {"kind":"log","format":1,"shards":4,"index":{}}
	// {"kind":"end","lines":1}
}

func ExampleImport() {
	ctx := context.Background()
	export := `{"kind":"log","format":1,"shards":1,"index":{},"until":"2020-01-02T10:00:00Z"}
{"id":"016f66a8-0000-7000-8000-000000000001","stream":"account/ada","version":1,"shard":0,"revision":1,"time":"2020-01-02T10:00:00Z","type":"bank.opened","data":{"owner":"Ada"},"tags":[],"meta":{}}
{"kind":"end","lines":2}
`
	header, _, _ := strings.Cut(export, "\n")
	options, err := eventlog.ExportedOptions([]byte(header))
	if err != nil {
		fmt.Println(err)
		return
	}
	log, err := eventlog.Open(ctx, memlog.Open(), options)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer log.Close()
	for range 2 {
		result, err := eventlog.Import(ctx, log, strings.NewReader(export))
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%d imported, %d were there\n", result.Transactions, result.Repeated)
	}
	// Output:
	// 1 imported, 0 were there
	// 0 imported, 1 were there
}
