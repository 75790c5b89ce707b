package saga_test

import (
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rollforward/rollforward/outbox"
)

func cpuNow() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func BenchmarkZZ(b *testing.B) {
	n := 10000
	if s := os.Getenv("ZZN"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	l := benchLog(b)
	if os.Getenv("ZZP") != "" {
		f, _ := os.Create(os.Getenv("ZZO"))
		pprof.StartCPUProfile(f)
		defer pprof.StopCPUProfile()
	}
	var m0, m1 runtime.MemStats
	runtime.ReadMemStats(&m0)
	c0, t0 := cpuNow(), time.Now()
	if os.Getenv("FLOW") != "" {
		stop := runBench(b, l)
		clients(b, n, 0, func(i int) error { return startBench(b, l, i) })
		tt := time.Now()
		for i := range 64 {
			if _, err := transfer3.Await(b.Context(), l, fmt.Sprint(n-i)); err != nil {
				b.Error(err)
			}
		}
		stop()
		fmt.Printf("flow %.1f cpu %.1f wall; %.0f/s rest %v\n", float64(cpuNow()-c0)/float64(n)/1e3, float64(time.Since(t0))/float64(n)/1e3, float64(n)/time.Since(t0).Seconds(), time.Since(tt))
	} else {
		clients(b, n, 0, func(i int) error { return startBench(b, l, i) })
	}
	if os.Getenv("ZZP") == "start" {
		pprof.StopCPUProfile()
	}
	c1, t1 := cpuNow(), time.Now()
	if os.Getenv("ZZP") == "drain" {
		f, _ := os.Create(os.Getenv("ZZO"))
		pprof.StopCPUProfile()
		pprof.StartCPUProfile(f)
	}
	if err := (&outbox.Runner{Log: l, Handlers: transfer3.Handlers(), Targets: zzTargets()}).Drain(b.Context()); err != nil {
		b.Error(err)
	}
	c2, t2 := cpuNow(), time.Now()
	pprof.StopCPUProfile()
	runtime.ReadMemStats(&m1)
	var r0, r1 time.Duration
	_ = r0
	fmt.Printf("start %.1f us cpu %.1f us wall; drain %.1f cpu %.1f wall; %.0f/s; %d B %d allocs\n", float64(c1-c0)/float64(n)/1e3, float64(t1.Sub(t0))/float64(n)/1e3,
		float64(c2-c1)/float64(n)/1e3, float64(t2.Sub(t1))/float64(n)/1e3, float64(n)/t2.Sub(t0).Seconds(), (m1.TotalAlloc-m0.TotalAlloc)/uint64(n), (m1.Mallocs-m0.Mallocs)/uint64(n))
	if os.Getenv("ZZSKIP") != "" {
		return
	}
	c3, t3 := cpuNow(), time.Now()
	clients(b, 20_000, 0, func(i int) error {
		_, err := l.Append(b.Context(), fmt.Sprintf("account/%d", i%benchAccounts), nil, Posted{1})
		return err
	})
	r1 = time.Since(t3)
	fmt.Printf("append 20k: %.1f cpu %.0f/s\n", float64(cpuNow()-c3)/20e3/1e3, 20e3/r1.Seconds())
	c3, t3 = cpuNow(), time.Now()
	clients(b, 200_000, 0, func(i int) error {
		_, err := l.Append(b.Context(), fmt.Sprintf("account/%d", i%benchAccounts), nil, Posted{1})
		return err
	})
	r1 = time.Since(t3)
	fmt.Printf("append 200k: %.1f cpu %.0f/s\n", float64(cpuNow()-c3)/200e3/1e3, 200e3/r1.Seconds())
}

func zzTargets() int {
	n, _ := strconv.Atoi(os.Getenv("TARGETS"))
	if n == 0 {
		n = 64
	}
	return n
}
