package eventlog_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
)

// A hostile or damaged line is refused with its number; nothing of its
// transaction is written, and what came before stays.
func TestImportRefuses(t *testing.T) {
	t.Parallel()
	from := transferOpen(t, 1)
	transferAppend(t, from, "first") // line 2
	if _, err := from.Update(t.Context(), func(tx *eventlog.Tx) error {
		if _, err := tx.Once("second", "id"); err != nil {
			return err
		}
		return tx.Append("second", eventlog.Raw{Type: "t", Data: []byte(`{"n":2}`)}, eventlog.Raw{Type: "t", Data: []byte(`{"n":3}`)})
	}); err != nil { // lines 3 to 5
		t.Fatal(err)
	}
	export := transferExport(t, from)
	replace := func(old, new string) string {
		if strings.Count(export, old) != 1 {
			t.Fatalf("%q is there %d times in\n%s", old, strings.Count(export, old), export)
		}
		return strings.Replace(export, old, new, 1)
	}
	lines := strings.SplitAfter(export, "\n")
	second := lines[3]
	at := second[strings.Index(second, `"time":"`)+8:]
	at = at[:strings.Index(at, `"`)]
	id := second[len(`{"id":"`):][:36]
	for name, c := range map[string]struct{ export, want string }{
		"nothing":                 {"", "line 1: empty"},
		"no header":               {strings.Join(lines[1:], ""), "line 1: not the beginning of an export"},
		"a newer format":          {replace(`"format":1`, `"format":2`), "line 1: incompatible log: export format 2"},
		"no shards":               {replace(`"shards":1`, `"shards":0`), "line 1: 0 shards"},
		"no JSON":                 {replace(`{"n":3}`, `{"n":3`), "line 5: "},
		"an unknown member":       {replace(`{"n":3}`, `{"n":3},"extra":1`), "line 5: json: unknown field"},
		"two values":              {replace(second, strings.TrimSpace(second)+"{}\n"), "line 4: more than one value"},
		"a binary line":           {replace(second, "\x00\xff\xfe\n"), "line 4: "},
		"an empty line":           {replace(second, "\n"), "line 4: "},
		"an unknown kind":         {replace(`"kind":"commit"`, `"kind":"comet"`), `line 3: unknown kind "comet"`},
		"no payload":              {replace(`"data":{"n":3},`, ``), "line 5: neither data nor data_base64"},
		"two payloads":            {replace(`"data":{"n":3}`, `"data":{"n":3},"data_base64":""`), "line 5: both data and data_base64"},
		"version 0":               {replace(`"stream":"second","version":1`, `"stream":"second","version":0`), "line 4: second version 0"},
		"a version missing":       {replace(`"stream":"second","version":2`, `"stream":"second","version":3`), "line 5: second goes from version 1 to 3"},
		"a version too high":      {strings.NewReplacer(`"stream":"second","version":1`, `"stream":"second","version":7`, `"stream":"second","version":2`, `"stream":"second","version":8`).Replace(export), "line 4: second version 7: conflict: the stream is at version 0"},
		"a shard too high":        {replace(`"version":2,"shard":0`, `"version":2,"shard":1`), "line 5: shard 1: the exported log has 0 to 0"},
		"a negative shard":        {replace(`"version":2,"shard":0`, `"version":2,"shard":-1`), "line 5: shard -1"},
		"a revision missing":      {strings.ReplaceAll(export, `"revision":2`, `"revision":3`), "line 3: shard 0 goes from revision 1 to 3"},
		"two revisions":           {replace(`"version":2,"shard":0,"revision":2`, `"version":2,"shard":0,"revision":3`), "line 5: transaction "},
		"an event twice":          {replace(second, second+second), "line 5: second version 1: id " + id + " appears twice"},
		"an id twice":             {replace(`0002","stream":"second"`, `0001","stream":"second"`), "line 5: second version 2: id " + id + " appears twice"},
		"no id":                   {replace(id, ""), "line 4: id \"00000000-0000-0000-0000-000000000000\" is not that of an event"},
		"the id of a commit":      {replace(id, id[:32]+"0000"), "is not that of an event"},
		"the rest twice":          {replace(lines[2], lines[2]+lines[2]), "line 4: transaction "},
		"other metadata":          {replace(lines[2], strings.Replace(lines[2], `"meta":{}`, `"meta":{"actor":"me"}`, 1)), "line 4: the first event of transaction "},
		"other metadata before":   {replace(lines[2]+lines[3], strings.Replace(lines[3], `"meta":{}`, `"meta":{"actor":"me"}`, 1)+lines[2]), "line 4: the first event of transaction "},
		"an unknown metadata":     {replace(lines[4], strings.Replace(lines[4], `"meta":{}`, `"meta":{"me":"me"}`, 1)), "line 5: json: unknown field"},
		"time goes back":          {strings.ReplaceAll(export, at, "2001-01-01T00:00:00Z"), "line 3: time goes back"},
		"a time of 1969":          {strings.ReplaceAll(export, at, "1969-01-01T00:00:00Z"), "line 1: time 1969"},
		"a time far ahead":        {strings.ReplaceAll(export, at, "2200-01-01T00:00:00Z"), "line 3: clock"},
		"a time beyond the last":  {strings.ReplaceAll(export, at, "9999-01-01T00:00:00Z"), "line 1: time 9999"},
		"an empty stream":         {strings.ReplaceAll(export, `"stream":"second"`, `"stream":""`), "line 3: invalid name: empty stream"},
		"an empty type":           {replace(second, strings.Replace(second, `"type":"t"`, `"type":""`, 1)), "line 4: second version 1: invalid name: empty event type"},
		"a control character":     {replace(second, strings.Replace(second, `"tags":[]`, `"tags":["\u0007"]`, 1)), "line 4: second version 1: invalid name: tag"},
		"too many tags":           {replace(second, strings.Replace(second, `"tags":[]`, `"tags":["x"`+strings.Repeat(`,"x"`, 64)+`]`, 1)), "line 4: second version 1: too large"},
		"too large":               {replace(`{"n":3}`, `"`+strings.Repeat("x", eventlog.MaxEvent)+`"`), "line 5: second version 2: too large"},
		"too long a line":         {replace(`{"n":3}`, `"`+strings.Repeat("x", 9<<20)+`"`), "line 5: longer than"},
		"a row behind events":     {replace(second, `{"kind":"row","table":"t","key":"k","value":1}`+"\n"), "line 4: a row behind events"},
		"a bad hash":              {replace(`"id":"id"`, `"id":"id","hash":"xyz"`), "line 3: hash"},
		"an empty idempotency id": {replace(`"id":"id"`, `"id":""`), "line 3: invalid name: empty id"},
		"a table elsewhere":       {replace(`"ids":`, `"tables":[""],"ids":`), "line 3: invalid name: empty table name"},
		"the end missing":         {strings.Join(lines[:5], ""), "line 5: the export is cut short behind it"},
		"cut in a transaction":    {strings.Join(lines[:4], ""), "line 4: the export is cut short behind it"},
		"cut in a line":           {export[:len(export)-40], "line 5: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.export == export {
				t.Fatal("the export was not changed")
			}
			to := transferOpen(t, 1)
			_, err := eventlog.Import(t.Context(), to, strings.NewReader(c.export))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %q, want %q", err, c.want)
			}
			first := !strings.HasPrefix(c.want, "line 1:")
			cut := strings.HasPrefix(c.want, "line 3:") // perhaps of the first transaction
			if p := transferPosition(t, to).String(); p != "0:1" && first && !cut || p != "" && !first {
				t.Errorf("the log is at %q", p)
			}
			transferImport(t, to, export) // mended, the same import goes on
			if diff := cmp.Diff(export, transferExport(t, to)); diff != "" {
				t.Errorf("another export (-from +to):\n%s", diff)
			}
		})
	}
}
