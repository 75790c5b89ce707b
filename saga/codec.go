package saga

import (
	"encoding/json"
	"strconv"

	"github.com/rollforward/rollforward/eventlog"
)

// What each step of a saga stores is JSON that is written and read by hand where it is
// as most of it is: commands, replies, and the events that lead on. encoding/json does
// the rest, and gives the same bytes.

// A writer writes the members of an object. plain says that nothing needed an escape.
type writer struct {
	b     []byte
	plain bool
}

// isPlain reports whether a byte stands for itself in a JSON text.
func isPlain(c byte) bool { return c >= ' ' && c <= '~' && c != '"' && c != '\\' }

func (w *writer) name(name string) {
	if n := len(w.b); n > 0 && w.b[n-1] != '{' {
		w.b = append(w.b, ',')
	}
	w.b = append(append(append(w.b, '"'), name...), `":`...)
}

func (w *writer) text(name, s string) {
	for i := range len(s) {
		if c := s[i]; !isPlain(c) || c == '<' || c == '>' || c == '&' {
			w.plain = false
			return
		}
	}
	w.name(name)
	w.b = append(append(append(w.b, '"'), s...), '"')
}

// Those with "may" write nothing of a zero value.

func (w *writer) mayText(name, s string) {
	if s != "" {
		w.text(name, s)
	}
}

func (w *writer) number(name string, n int) {
	w.name(name)
	w.b = strconv.AppendInt(w.b, int64(n), 10)
}

func (w *writer) mayNumber(name string, n int) {
	if n != 0 {
		w.number(name, n)
	}
}

func (w *writer) mayFlag(name string, is bool) {
	if is {
		w.name(name)
		w.b = append(w.b, "true"...)
	}
}

// mayData writes data that json.Marshal wrote.
func (w *writer) mayData(name string, data []byte) {
	if len(data) > 0 {
		w.name(name)
		w.b = append(w.b, data...)
	}
}

func (c *command) stored() ([]byte, error) {
	w := writer{make([]byte, 0, 64+len(c.ID)+len(c.Data)), len(c.Data) > 0}
	w.b = append(w.b, '{')
	w.text("id", c.ID)
	w.number("n", c.N)
	w.mayNumber("of", c.Of)
	w.mayNumber("v", c.V)
	w.mayData("data", c.Data)
	if !w.plain {
		return json.Marshal(c)
	}
	return append(w.b, '}'), nil
}

func (r *reply) stored() ([]byte, error) {
	if r.Error != "" || r.Stopped || r.Lost {
		return json.Marshal(r)
	}
	w := writer{b: make([]byte, 0, 48+len(r.Data))}
	w.b = append(w.b, '{')
	w.number("n", r.N)
	w.mayNumber("v", r.V)
	w.mayData("data", r.Data)
	return append(w.b, '}'), nil
}

// leads reports whether an event has no other members than those that stored writes.
func (e *event) leads() bool {
	return !e.Unsure && e.Error == "" && e.Why == "" && e.To == "" && e.By == "" && e.Reason == "" && e.What == "" && e.Name == "" &&
		e.Dedup == "" && e.Take == nil && !e.Late && e.Count == 0 && e.Cursor == "" && !e.More && e.Chain == eventlog.ID{} && e.Parent == nil &&
		e.Fork == nil && e.Deadline == 0 && e.Steps == nil && e.Back == "" && e.Via == nil && e.Parked == "" && (e.Next == nil || e.Next.leads())
}

func (n *next) leads() bool {
	return n.Timer == 0 && n.Due == nil && n.Signal == "" && !n.Fan && n.Saga == "" && n.Count == 0 && !n.More && n.Need == 0
}

func (e *event) stored() ([]byte, error) {
	if !e.leads() {
		return json.Marshal(e)
	}
	w := writer{make([]byte, 0, 192+len(e.Data)), true}
	w.b = append(w.b, '{')
	w.mayNumber("v", e.V)
	w.mayNumber("n", e.N)
	w.mayNumber("of", e.Of)
	w.mayText("step", e.Step)
	w.mayData("data", e.Data)
	w.mayFlag("undoable", e.Undoable)
	w.mayNumber("i", e.I)
	w.mayFlag("ok", e.OK)
	if n := e.Next; n != nil {
		w.name("next")
		w.b = append(w.b, '{')
		w.number("n", n.N)
		w.mayNumber("of", n.Of)
		w.text("step", n.Step)
		w.text("kind", string(n.Kind))
		w.mayText("on", n.On)
		w.mayNumber("sent", n.Sent)
		w.b = append(w.b, '}')
	}
	w.mayText("end", string(e.End))
	w.mayText("was", string(e.Was))
	w.mayText("is", string(e.Is))
	if !w.plain {
		return json.Marshal(e)
	}
	return append(w.b, '}'), nil
}
