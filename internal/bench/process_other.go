//go:build !linux

package bench

import "time"

// cpuTime is not known here.
func cpuTime() time.Duration { return 0 }

// maxRSS is not known here.
func maxRSS() int64 { return 0 }
