package logcmd

import (
	"cmp"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/cli"
)

// group is what steps of one target or type have in common, as JSON.
type group struct {
	Target  *string   `json:"target,omitempty"` // one of the two
	Type    *string   `json:"type,omitempty"`
	Steps   int64     `json:"steps"`
	Ready   int64     `json:"ready"`
	Waiting int64     `json:"waiting"`
	Parked  int64     `json:"parked"`
	Stopped int64     `json:"stopped"`
	Oldest  time.Time `json:"oldest"`
	Seconds float64   `json:"oldest_seconds"` // its age

	now time.Time
}

func (g *group) name() string {
	if g.Target != nil {
		return *g.Target
	}
	return *g.Type
}

func (g *group) add(s *step) {
	g.Steps++
	switch s.State {
	case ready:
		g.Ready++
	case waiting:
		g.Waiting++
	case parked:
		g.Parked++
	case stopped:
		g.Stopped++
	}
	if g.Oldest.IsZero() || s.Time.Before(g.Oldest) {
		g.Oldest = s.Time
		g.Seconds = max(0, s.now.Sub(s.Time)).Seconds()
	}
}

// count writes how many steps each target or type has.
func (p *pendingSteps) count(cmd *cobra.Command, l *eventlog.Log, n tally) error {
	groups := make(map[string]*group)
	err := p.eachWithProgress(cmd, l, func(s step) {
		n[s.State]++
		name := s.Type
		if p.byTarget {
			name = s.Target
		}
		g := groups[name]
		if g == nil {
			if g = (&group{Type: &name, now: s.now}); p.byTarget {
				g.Target, g.Type = g.Type, nil
			}
			groups[name] = g
		}
		g.add(&s)
	})
	if err != nil {
		return err
	}
	list := make([]*group, 0, len(groups))
	for _, g := range groups {
		list = append(list, g)
	}
	slices.SortFunc(list, p.order)
	if p.limit > 0 {
		list = list[:min(len(list), p.limit)]
	}
	return writeAll(cmd.OutOrStdout(), p.format, groupColumns(p.byTarget), list)
}

func (p *pendingSteps) order(a, b *group) int {
	if p.oldest {
		return cmp.Or(a.Oldest.Compare(b.Oldest), cmp.Compare(a.name(), b.name()))
	}
	return cmp.Or(cmp.Compare(b.Steps, a.Steps), cmp.Compare(a.name(), b.name()))
}

func groupColumns(byTarget bool) []cli.Column[*group] {
	head := "TYPE"
	if byTarget {
		head = "TARGET"
	}
	number := func(head string, n func(*group) int64) cli.Column[*group] {
		return cli.Column[*group]{Head: head, Right: true, Cell: func(g *group) string { return cli.Count(n(g)) }}
	}
	return []cli.Column[*group]{
		{Head: head, Cell: (*group).name},
		number("STEPS", func(g *group) int64 { return g.Steps }),
		number("READY", func(g *group) int64 { return g.Ready }),
		number("WAITING", func(g *group) int64 { return g.Waiting }),
		number("PARKED", func(g *group) int64 { return g.Parked }),
		number("STOPPED", func(g *group) int64 { return g.Stopped }),
		{Head: "OLDEST", Right: true, Cell: func(g *group) string { return age(g.Oldest, g.now) }},
	}
}
