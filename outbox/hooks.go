package outbox

import "time"

// Hooks observe a Runner, for metrics and tests. They are called by its one
// goroutine, after the fact is durable: they must return quickly. A nil function
// is not called.
type Hooks struct {
	// Step is called for each outcome of a step: done, failed, dead and so on.
	Step func(StepInfo)
	// Batch is called for each durable commit of a batch.
	Batch func(BatchInfo)
	// Shard is called at each sweep for each shard that the Runner holds, and once
	// with Held false when it holds it no more.
	Shard func(ShardInfo)
	// Sweep is called at each sweep.
	Sweep func(SweepInfo)
	// Trouble is called for each error of the store; shard -1: of the leases.
	Trouble func(shard int, err error)
}

// An Outcome says what became of a step.
type Outcome string

const (
	StepDone    Outcome = "done"    // its effect is in the log
	StepFailed  Outcome = "failed"  // an attempt; there will be another one
	StepRefused Outcome = "refused" // it failed for good, and its handler's Failed did the rest
	StepDead    Outcome = "dead"    // it failed for good: a dead letter
	StepExpired Outcome = "expired" // it came too late: a dead letter, or Failed did the rest
)

// StepInfo describes an outcome.
type StepInfo struct {
	Shard    int    // the emitter's
	Type     string // of a step that a family's handler did it is the family's
	Outcome  Outcome
	Attempt  int           // that failed; 0: none did
	Linked   bool          // it ran in the commit that emitted it
	Age      time.Duration // since it was committed or, of a timer, due
	Duration time.Duration // of its handler
	Err      error
}

// BatchInfo describes a commit of a batch.
type BatchInfo struct {
	Shard    int // the targets'
	Steps    int // that it decided, or that failed in it
	Targets  int
	Duration time.Duration // from the look at the first step to the durable commit
}

// ShardInfo describes a shard and its steps, as far as its holder knows.
type ShardInfo struct {
	Shard   int
	Held    bool          // by this Runner
	Backlog int           // steps that could run and have not
	Oldest  time.Duration // age of the first of them
	Due     int           // those of them that waited for their time, or their next attempt, which has come
	Waiting int           // steps that wait for their time or their next attempt; what was cancelled counts until its time
	Parked  int           // steps that are left to another program
	Stopped int           // steps whose target is stopped
}

// SweepInfo describes how a Runner's sweeps go.
type SweepInfo struct {
	Held    int           // shards that this Runner holds
	Runners int           // how many there are, this one included
	Lag     time.Duration // by how much the last sweep that went well is overdue
	Err     error         // why the leases cannot be kept
}

func (h *Hooks) step(i StepInfo) {
	if h.Step != nil {
		h.Step(i)
	}
}

func (h *Hooks) batch(i BatchInfo) {
	if h.Batch != nil {
		h.Batch(i)
	}
}

func (h *Hooks) shard(i ShardInfo) {
	if h.Shard != nil {
		h.Shard(i)
	}
}

func (h *Hooks) sweep(i SweepInfo) {
	if h.Sweep != nil {
		h.Sweep(i)
	}
}

func (h *Hooks) trouble(shard int, err error) {
	if h.Trouble != nil {
		h.Trouble(shard, err)
	}
}
