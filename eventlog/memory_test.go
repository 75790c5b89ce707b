package eventlog_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// TestWindowKeepsNoCallersMemory: the names that a lane remembers keep nothing
// else in memory, also not when a stream is appended to again.
func TestWindowKeepsNoCallersMemory(t *testing.T) { // alone: it measures the heap
	l := fresh(t)
	const streams, size = 64, 1 << 20
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for range 3 {
		for i := range streams {
			request := strings.Repeat("x", size) + fmt.Sprint("stream/", i) // as a name cut out of a request
			add(t, l, request[size:], "e")
		}
	}
	if grown := int64(heap()) - int64(before); grown > 8<<20 {
		t.Errorf("%d streams of short names keep %d MiB in memory", streams, grown>>20)
	}
}
