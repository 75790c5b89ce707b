package saga

import (
	"fmt"
	"maps"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/lease"
)

const censusPrefix = "$census"

// A censusCell is kept in a cell: how many instances of a shard are in which state as
// of a revision, and the epoch of the lease under which it was written. It follows
// from the log: whoever counts comes to the same.
type censusCell struct {
	Revision driver.Revision `json:"revision"`
	Epoch    uint64          `json:"epoch"`
	Sagas    population      `json:"sagas,omitempty"`
}

func censusCells(l *eventlog.Log) *lease.Cursors[censusCell] {
	return &lease.Cursors[censusCell]{Log: l,
		Key:   func(shard int) string { return fmt.Sprintf("%s\x01counts\x01%04d", censusPrefix, shard) },
		Begin: func(int) censusCell { return censusCell{} },
		Epoch: func(c *censusCell) *uint64 { return &c.Epoch },
	}
}

// A population says how many instances of a saga are in which state. What is 0 may be
// absent; a difference of two has numbers below it.
type population map[string]map[State]int

func (p population) add(saga string, s State, n int) {
	if p[saga] == nil {
		p[saga] = make(map[State]int)
	}
	p[saga][s] += n
}

// move counts an event that changes the state of an instance.
func (p population) move(saga string, e *event) {
	p.add(saga, e.Is, 1)
	if e.Was != "" {
		p.add(saga, e.Was, -1)
	}
}

// plus returns the sum of both, which are not changed.
func (p population) plus(q population) population {
	sum := make(population, len(p))
	for saga, states := range p {
		sum[saga] = maps.Clone(states)
	}
	for saga, states := range q {
		for s, n := range states {
			sum.add(saga, s, n)
		}
	}
	return sum
}

// states are those that an instance can be in, as users see it.
var states = []State{Awaited, Running, Compensating, Parked, Completed, Compensated, Cancelled}

// all returns a copy that has all states of each saga.
func (p population) all() map[string]map[State]int {
	out := p.plus(nil)
	for saga := range out {
		for _, s := range states {
			out.add(saga, s, 0)
		}
	}
	return out
}
