package saga

import (
	"context"
	"fmt"
	"strings"

	"github.com/rollforward/rollforward/eventlog"
)

// Diagram returns the definition as a Mermaid flowchart: its steps, what each of them
// is, and what may come behind it.
func (s *Saga[S]) Diagram() (string, error) {
	if err := s.check(); err != nil {
		return "", err
	}
	c := newChart(s)
	c.title(fmt.Sprintf("%s, version %d", s.Name, s.Version))
	c.steps()
	return c.String(), nil
}

// DiagramOf returns the same of an instance: how often each of its steps was done,
// which were undone or refused, and where it stands.
func (s *Saga[S]) DiagramOf(ctx context.Context, l *eventlog.Log, id string) (string, error) {
	e, err := newEngine(s)
	if err != nil {
		return "", err
	}
	t := newTally()
	for entry, err := range History(ctx, l, s.Name, id) {
		if err != nil {
			return "", err
		}
		t.add(&entry)
	}
	prog, _, err := e.find(t.now.Version)
	if err != nil {
		return "", fmt.Errorf("saga: diagram of %s/%s: %w", s.Name, id, err)
	}
	c := newChart(prog)
	c.title(fmt.Sprintf("%s/%s, version %d: %s", s.Name, id, t.now.Version, t.now.State))
	c.tally = t
	c.steps()
	c.classes()
	return c.String(), nil
}

// tally is what happened to the steps of an instance.
type tally struct {
	now     Info
	done    map[string]int
	undone  map[string]int
	refused map[string]bool
	skipped map[string]bool
}

func newTally() *tally {
	return &tally{done: map[string]int{}, undone: map[string]int{}, refused: map[string]bool{}, skipped: map[string]bool{}}
}

func (t *tally) add(e *Entry) {
	t.now = e.After
	switch "$saga." + e.What {
	case evDone:
		t.done[e.Step]++
	case evUndone:
		t.undone[e.Step]++
	case evRefused:
		t.refused[e.Step] = true
	case evStopped:
		t.skipped[e.Step] = true
	}
}

// chart writes a flowchart. Its nodes are named after their places, so that a step may
// be called anything.
type chart struct {
	strings.Builder
	prog  program
	nodes map[string]string
	tally *tally // nil: of a definition
}

func newChart(p program) *chart {
	c := &chart{prog: p, nodes: map[string]string{End: "done"}}
	for i, name := range p.names() {
		c.nodes[name] = fmt.Sprint("s", i)
	}
	return c
}

func (c *chart) line(format string, args ...any) { fmt.Fprintf(c, format+"\n", args...) }

func (c *chart) title(text string) {
	c.line("---\ntitle: %q\n---\nflowchart TD", text)
}

func (c *chart) steps() {
	names := c.prog.names()
	c.line("  start([start]) --> %s", c.nodes[names[0]])
	for _, name := range names {
		c.line("  %s%s", c.nodes[name], c.node(c.prog.step(name)))
	}
	c.line("  done([completed])")
	for _, name := range names {
		c.edges(name, c.prog.step(name))
	}
}

// node is the shape and the text of a step.
func (c *chart) node(s stepper) string {
	lines := []string{s.stepName()}
	open, closing := "[", "]"
	switch s.kind() {
	case kindChange:
		if s.undoable() {
			lines = append(lines, "can be undone")
		}
	case kindCall:
		open, closing = "[/", "/]"
		lines = append(lines, "call")
	case kindWait:
		open, closing = "([", "])"
		lines = append(lines, "wait")
	case kindSignal:
		open, closing = "{{", "}}"
		lines = append(lines, "signal "+s.signal())
	case kindChild:
		open, closing = "[[", "]]"
		lines = append(lines, "saga "+s.child().sagaName())
		if s.fans() {
			lines[1] = "many sagas " + s.child().sagaName()
		}
	case kindBranch:
		open, closing = "{", "}"
	}
	if limit, _ := s.timeout(); limit > 0 {
		lines = append(lines, "timeout "+limit.String())
	}
	if c.tally != nil && c.tally.done[s.stepName()] > 1 {
		lines = append(lines, fmt.Sprintf("%d times", c.tally.done[s.stepName()]))
	}
	return open + label(lines...) + closing
}

// label quotes what may stand in a Mermaid text.
func label(lines ...string) string {
	for i, l := range lines {
		lines[i] = strings.NewReplacer("#", "#35;", `"`, "#quot;", "<", "#lt;", ">", "#gt;", "\n", " ").Replace(l)
	}
	return `"` + strings.Join(lines, "<br>") + `"`
}

func (c *chart) edges(name string, s stepper) {
	routes := s.routes()
	if len(routes) == 0 {
		routes = []string{c.prog.following(name)}
	}
	for _, to := range routes {
		c.line("  %s --> %s", c.nodes[name], c.nodes[to])
	}
	if _, to := s.timeout(); to != "" {
		c.line("  %s -. timeout .-> %s", c.nodes[name], c.nodes[to])
	}
}

// classes colours the steps of an instance.
func (c *chart) classes() {
	for _, class := range []string{
		"finished fill:#cfc,stroke:#393", "undone fill:#eee,stroke:#999", "refused fill:#fcc,stroke:#c33", "skipped fill:#ffe,stroke:#990", "current fill:#cdf,stroke:#36c,stroke-width:3px",
	} {
		c.line("  classDef %s", class)
	}
	for _, name := range c.prog.names() {
		if class := c.tally.class(name); class != "" {
			c.line("  class %s %s", c.nodes[name], class)
		}
	}
	if c.tally.now.State == Completed {
		c.line("  class done finished")
	}
}

func (t *tally) class(step string) string {
	switch {
	case t.now.Step == step:
		return "current"
	case t.refused[step]:
		return "refused"
	case t.done[step] > t.undone[step]:
		return "finished"
	case t.done[step] > 0:
		return "undone"
	case t.skipped[step]:
		return "skipped"
	}
	return ""
}
