package eventlog

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"
)

// clock is a hybrid logical clock in nanoseconds since 1970: it follows the
// wall clock, never repeats or falls, and stays behind everything observed.
// (Kulkarni et al., "Logical Physical Clocks", 2014; the logical part is the
// low nanoseconds.)
type clock struct {
	now  func() time.Time
	last atomic.Int64
}

// next returns a time later than every earlier one.
func (c *clock) next() int64 {
	t, _ := c.stamp(math.MaxInt64)
	return t
}

// stamp returns a time later than every earlier one, and takes none when that
// lies further ahead of the wall clock than skew.
func (c *clock) stamp(skew time.Duration) (int64, error) {
	now := c.now().UnixNano()
	for {
		last := c.last.Load()
		t := max(now, last+1)
		if err := aheadOf(now, t, skew); err != nil {
			return 0, err
		}
		if c.last.CompareAndSwap(last, t) {
			return t, nil
		}
	}
}

// read returns the time that next would return, without taking it.
func (c *clock) read() int64 { return max(c.now().UnixNano(), c.last.Load()+1) }

// observe moves the clock behind t.
func (c *clock) observe(t int64) {
	for {
		last := c.last.Load()
		if t <= last || c.last.CompareAndSwap(last, t) {
			return
		}
	}
}

// latest is the last time that lies no further ahead of the wall clock than skew.
func (c *clock) latest(skew time.Duration) int64 {
	now := c.now().UnixNano()
	return now + min(int64(skew), math.MaxInt64-now)
}

// ahead returns an error when t lies further ahead of the wall clock than skew.
func (c *clock) ahead(t int64, skew time.Duration) error {
	return aheadOf(c.now().UnixNano(), t, skew)
}

func aheadOf(now, t int64, skew time.Duration) error {
	if d := time.Duration(t - now); d > skew {
		return fmt.Errorf("%w: the next time stamp lies %s ahead of this machine's clock, at most %s: "+
			"the clock was set back, or another writer's runs fast", ErrClock, d.Round(time.Millisecond), skew)
	}
	return nil
}
