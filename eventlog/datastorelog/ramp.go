package datastorelog

import (
	"context"
	"math"
	"time"

	"golang.org/x/time/rate"
)

// RampUp says whether a new log begins slowly: at 500 operations a second, half as
// many more every five minutes. The service splits a new kind over its machines
// as its load grows, and answers with errors where it grows faster. It holds for
// each process on its own.
type RampUp uint8

const (
	RampUpAuto RampUp = iota // on, but off on emulators
	RampUpOn
	RampUpOff
)

const (
	rampBase   = 500
	rampGrowth = 1.5
	rampStep   = 5 * time.Minute
	rampEnd    = 2 * time.Hour // 6 million a second: no limit
)

// A ramp is the limiter of a log. nil does not limit.
type ramp struct {
	created time.Time
	limiter *rate.Limiter
}

func newRamp(o *Options, created time.Time) *ramp {
	if o.RampUp == RampUpOff || o.RampUp == RampUpAuto && o.Emulator != "" {
		return nil
	}
	return &ramp{created, rate.NewLimiter(rampBase, rampBase)}
}

// limit returns how many operations a second a log of that age may do.
func limit(age time.Duration) float64 {
	return rampBase * math.Pow(rampGrowth, math.Floor(float64(max(0, age))/float64(rampStep)))
}

// wait waits until n operations may be done.
func (r *ramp) wait(ctx context.Context, n int) error {
	if r == nil {
		return ctx.Err()
	}
	now := time.Now()
	age := now.Sub(r.created)
	if age > rampEnd {
		return ctx.Err()
	}
	if l := limit(age); rate.Limit(l) != r.limiter.Limit() {
		r.limiter.SetLimitAt(now, rate.Limit(l))
		r.limiter.SetBurstAt(now, int(l))
	}
	for n > 0 {
		part := min(n, r.limiter.Burst())
		if err := r.limiter.WaitN(ctx, part); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return context.DeadlineExceeded // it would end before
		}
		n -= part
	}
	return nil
}
