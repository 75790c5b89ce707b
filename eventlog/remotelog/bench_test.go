//go:build unix

package remotelog

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
)

var (
	benchRounds  = flag.Int("bench.rounds", 3, "rounds in which the sides of BenchmarkProcesses take turns")
	benchTime    = flag.Duration("bench.each", 2*time.Second, "how long each side works in a round")
	benchProfile = flag.String("bench.profile", "", "a prefix of files for CPU profiles of the processes")
)

func init() { processes["bench"] = benchProcess }

const (
	benchStreams = 10_000
	benchWorkers = 64 // in all processes together
)

// BenchmarkProcesses compares four processes of 16 appenders on one shared
// directory with one process of 64 that has it alone: events of 256 bytes, each
// on the condition that its stream, one of 10,000, has the expected version. The
// sides take turns; what counts is the ratio.
func BenchmarkProcesses(b *testing.B) {
	for b.Loop() {
		var ratios []float64
		for round := range *benchRounds {
			alone := runBench(b, "alone", 1, round)
			one := runBench(b, "shared", 1, round)
			four := runBench(b, "shared", 4, round)
			ratios = append(ratios, four.perSecond/one.perSecond)
			b.Logf("round %d: alone %.0f/s, %.1f µs CPU; one process %.0f/s, %.1f µs CPU; four %.0f/s, %.1f µs CPU, least/most %.2f; ratio %.2f to one, %.2f to alone",
				round, alone.perSecond, alone.cpu, one.perSecond, one.cpu, four.perSecond, four.cpu, four.fairness, four.perSecond/one.perSecond, four.perSecond/alone.perSecond)
		}
		slices.Sort(ratios)
		b.ReportMetric(ratios[len(ratios)/2], "ratio")
	}
}

type benchResult struct {
	perSecond float64
	cpu       float64 // µs an append
	fairness  float64 // the appends of the process with the fewest over those of the one with the most
}

// A benchReport is what a process has done.
type benchReport struct {
	Appends int
	CPU     time.Duration
}

func runBench(b *testing.B, mode string, n, round int) benchResult {
	dir := b.TempDir()
	var list []*process
	for i := range n {
		p := start(b, "bench", mode, dir, strconv.Itoa(i), strconv.Itoa(benchWorkers/n), benchTime.String(),
			profileName(fmt.Sprintf("%s-%d-%d", mode, round, i)))
		if p.hear() != "ready" {
			b.Fatal("not ready")
		}
		list = append(list, p)
	}
	for _, p := range list {
		p.tell("warm up")
	}
	for _, p := range list {
		p.hear()
	}
	for _, p := range list {
		p.tell("go")
	}
	var out benchResult
	var total, least, most int
	var cpu time.Duration
	for i, p := range list {
		var r benchReport
		if err := json.Unmarshal([]byte(p.hear()), &r); err != nil {
			b.Fatal(err)
		}
		total, cpu, most = total+r.Appends, cpu+r.CPU, max(most, r.Appends)
		if i == 0 || r.Appends < least {
			least = r.Appends
		}
	}
	for _, p := range list {
		p.tell("end")
		p.end()
	}
	out.perSecond = float64(total) / benchTime.Seconds()
	out.cpu = float64(cpu.Microseconds()) / float64(max(total, 1))
	out.fairness = float64(least) / float64(max(most, 1))
	return out
}

func profileName(name string) string {
	if *benchProfile == "" {
		return ""
	}
	return *benchProfile + name
}

// benchProcess is one of the processes.
func benchProcess(args []string) error {
	mode, dir, profile := args[0], args[1], args[5]
	n, _ := strconv.Atoi(args[2])
	workers, _ := strconv.Atoi(args[3])
	d, err := time.ParseDuration(args[4])
	if err != nil {
		return err
	}
	var store driver.Log
	if mode == "alone" {
		store, err = pebblelog.Open(dir, nil)
	} else {
		store, err = Open(context.Background(), dir, nil)
	}
	if err != nil {
		return err
	}
	l, err := eventlog.Open(context.Background(), store, nil)
	if err != nil {
		return err
	}
	w := newBenchWork(l, n*workers, workers)
	in := bufio.NewScanner(os.Stdin)
	fmt.Println("ready")
	in.Scan()
	if err := w.warmUp(); err != nil {
		return err
	}
	fmt.Println("warm")
	in.Scan()
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
	}
	before := cpuTime()
	var r benchReport
	err = errors.Join(err, w.run(d, &r.Appends))
	r.CPU = cpuTime() - before
	pprof.StopCPUProfile()
	line, _ := json.Marshal(r)
	fmt.Println(string(line))
	in.Scan() // the others may need this one
	return errors.Join(err, l.Close())
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

type benchWork struct {
	log      *eventlog.Log
	first, n int // workers
	heads    []uint64
	rng      []*rand.Rand
	payloads [][]byte
}

func newBenchWork(l *eventlog.Log, first, n int) *benchWork {
	w := &benchWork{log: l, first: first, n: n, heads: make([]uint64, benchStreams)}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 1024 {
		w.payloads = append(w.payloads, []byte(benchPayload(rng)))
	}
	for i := range n {
		w.rng = append(w.rng, rand.New(rand.NewPCG(3, uint64(first+i))))
	}
	return w
}

func benchPayload(rng *rand.Rand) string {
	s := fmt.Sprintf(`{"n":%d,"ref":"%016x","account":"ACC-%07d","amount":%d,"currency":"EUR","note":"`,
		rng.IntN(1000), rng.Uint64(), rng.IntN(1e7), rng.IntN(1e6))
	words := strings.Fields("account amount customer daily deposit invoice payment refund supplier transfer travel")
	for len(s) < 254 {
		s += words[rng.IntN(len(words))] + " "
	}
	return s[:254] + `"}`
}

// run appends with all workers for d and counts.
func (w *benchWork) run(d time.Duration, total *int) error {
	counts, errs := make([]int, w.n), make([]error, w.n)
	var wg sync.WaitGroup
	begin := time.Now()
	for i := range w.n {
		wg.Go(func() {
			for time.Since(begin) < d && errs[i] == nil {
				errs[i] = w.append(i, w.rng[i].IntN(benchStreams/benchWorkers))
				counts[i]++
			}
		})
	}
	wg.Wait()
	for _, n := range counts {
		if total != nil {
			*total += n
		}
	}
	return errors.Join(errs...)
}

// warmUp appends to each stream once, so that every process knows the versions of
// its own.
func (w *benchWork) warmUp() error {
	errs := make([]error, w.n)
	var wg sync.WaitGroup
	for i := range w.n {
		wg.Go(func() {
			for n := 0; n < benchStreams/benchWorkers && errs[i] == nil; n++ {
				errs[i] = w.append(i, n)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// append appends to the n-th of the worker's own streams.
func (w *benchWork) append(i, n int) error {
	rng, stream := w.rng[i], w.first+i+benchWorkers*n
	o := &eventlog.AppendOptions{Expect: eventlog.Exactly(w.heads[stream])}
	event := eventlog.Raw{Type: "bench.posted", Data: w.payloads[rng.IntN(len(w.payloads))]}
	if _, err := w.log.Append(context.Background(), fmt.Sprintf("account/%d", stream), o, event); err != nil {
		return err
	}
	w.heads[stream]++
	return nil
}
