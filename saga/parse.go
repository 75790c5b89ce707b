package saga

import (
	"encoding/json"
	"strconv"
)

// A reader reads the members of an object that a writer wrote, in their order. ok says
// that all was as expected.
type reader struct {
	rest []byte
	ok   bool
	any  bool // a member of the object was read
}

func newReader(b []byte) *reader {
	r := &reader{rest: b, ok: true}
	r.open()
	return r
}

// cut takes a text off; false: it does not stand there.
func (r *reader) cut(s string) bool {
	if !r.ok || len(r.rest) < len(s) || string(r.rest[:len(s)]) != s {
		return false
	}
	r.rest = r.rest[len(s):]
	return true
}

func (r *reader) open() { r.ok, r.any = r.cut("{"), false }

// end says that the object is over.
func (r *reader) end() { r.ok, r.any = r.cut("}"), true }

// name takes the name of the next member off; false: the next one is another.
func (r *reader) name(name string) bool {
	before := r.rest
	if (!r.any || r.cut(",")) && r.cut(`"`) && r.cut(name) && r.cut(`":`) {
		r.any = true
		return true
	}
	r.rest = before
	return false
}

func (r *reader) text(name string) string {
	if !r.name(name) {
		return ""
	}
	if r.ok = r.cut(`"`); !r.ok {
		return ""
	}
	end := 0
	for end < len(r.rest) && isPlain(r.rest[end]) {
		end++
	}
	s := string(r.rest[:end])
	r.rest = r.rest[end:]
	r.ok = r.cut(`"`)
	return s
}

func (r *reader) number(name string) int {
	if !r.name(name) {
		return 0
	}
	end := 0
	for end < len(r.rest) && (r.rest[end] == '-' && end == 0 || r.rest[end] >= '0' && r.rest[end] <= '9') {
		end++
	}
	n, err := strconv.Atoi(string(r.rest[:end]))
	if r.ok = err == nil && (r.rest[0] != '0' || end == 1) && r.rest[0] != '-'; !r.ok {
		return 0
	}
	r.rest = r.rest[end:]
	return n
}

func (r *reader) flag(name string) bool {
	if !r.name(name) {
		return false
	}
	r.ok = r.cut("true")
	return r.ok
}

// data takes a value off, of any kind.
func (r *reader) data(name string) json.RawMessage {
	if !r.name(name) {
		return nil
	}
	end := valueEnd(r.rest)
	if r.ok = end > 0 && r.rest[0] > ' ' && r.rest[end-1] > ' ' && json.Valid(r.rest[:end]); !r.ok {
		return nil
	}
	v := r.rest[:end:end]
	r.rest = r.rest[end:]
	return v
}

// valueEnd finds the end of the value that b starts with: its last byte if nothing
// stands behind it but the end of the object. 0: there is none.
func valueEnd(b []byte) int {
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case (c == '}' || c == ']') && depth > 0:
			depth--
		case depth == 0 && (c == ',' || c == '}'):
			return i
		}
	}
	return 0
}

// whole reports whether the object was all that there was.
func (r *reader) whole() bool { return r.ok && len(r.rest) == 0 }

func (c *command) parse(b []byte) error {
	r := newReader(b)
	*c = command{ID: r.text("id"), N: r.number("n"), Of: r.number("of"), V: r.number("v"), Data: r.data("data")}
	if r.end(); r.whole() {
		return nil
	}
	*c = command{}
	return json.Unmarshal(b, c)
}

func (m *reply) parse(b []byte) error {
	r := newReader(b)
	*m = reply{N: r.number("n"), V: r.number("v"), Data: r.data("data")}
	if r.end(); r.whole() {
		return nil
	}
	*m = reply{}
	return json.Unmarshal(b, m)
}

func (e *event) parse(b []byte) error {
	r := newReader(b)
	*e = event{V: r.number("v"), N: r.number("n"), Of: r.number("of"), Step: r.text("step"), Data: r.data("data"), Undoable: r.flag("undoable"),
		I: r.number("i"), OK: r.flag("ok")}
	if r.name("next") {
		r.open()
		e.Next = &next{N: r.number("n"), Of: r.number("of"), Step: r.text("step"), Kind: kind(r.text("kind")), On: r.text("on"), Sent: r.number("sent")}
		r.end()
	}
	e.End, e.Was, e.Is = State(r.text("end")), State(r.text("was")), State(r.text("is"))
	if r.end(); r.whole() {
		return nil
	}
	*e = event{}
	return json.Unmarshal(b, e)
}
