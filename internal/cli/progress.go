package cli

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mattn/go-isatty"
)

// A Progress tells how far long work is: how much is done, of how much, at what
// rate, and how long it will still take. It says nothing in the first two
// seconds; then it keeps one line up to date on a terminal, and writes a line
// every five seconds to anything else.
type Progress struct {
	w        io.Writer
	terminal bool
	what     string
	unit     string
	begin    time.Time

	done, total atomic.Int64
	rate        rate
	drawn       bool
	end         chan struct{}
	once        sync.Once
	ended       sync.WaitGroup
}

const (
	progressAfter  = 2 * time.Second
	progressLine   = 5 * time.Second
	progressRedraw = 200 * time.Millisecond
)

// StartProgress starts to tell w about what, counted in unit ("commits",
// "bytes"). It must be stopped.
func StartProgress(w io.Writer, what, unit string) *Progress {
	f, ok := w.(*os.File)
	return startProgress(w, ok && isatty.IsTerminal(f.Fd()), what, unit)
}

func startProgress(w io.Writer, terminal bool, what, unit string) *Progress {
	p := &Progress{w: w, terminal: terminal, what: what, unit: unit, begin: time.Now(), end: make(chan struct{})}
	p.ended.Go(p.run)
	return p
}

// Set says how much is done, of how much; total 0 is "not known". It may be
// called by any goroutine, as often as one likes.
func (p *Progress) Set(done, total int64) {
	p.done.Store(done)
	p.total.Store(total)
}

// Stop ends the telling and clears the line. It may be called again.
func (p *Progress) Stop() {
	p.once.Do(func() {
		close(p.end)
		p.ended.Wait()
		if p.drawn && p.terminal {
			fmt.Fprint(p.w, "\r\x1b[K")
		}
	})
}

func (p *Progress) run() {
	tick := time.NewTimer(progressAfter)
	defer tick.Stop()
	for {
		select {
		case <-p.end:
			return
		case <-tick.C:
		}
		p.draw()
		if p.terminal {
			tick.Reset(progressRedraw)
		} else {
			tick.Reset(progressLine)
		}
	}
}

func (p *Progress) draw() {
	p.drawn = true
	line := p.line(time.Now())
	if p.terminal {
		fmt.Fprint(p.w, "\r\x1b[K"+line)
	} else {
		fmt.Fprintln(p.w, line)
	}
}

// line is like "verify: 120,000 of 480,000 commits (25%), 40,000/s, 9s left".
func (p *Progress) line(now time.Time) string {
	done, total := p.done.Load(), p.total.Load()
	perSecond := p.rate.at(now.Sub(p.begin), done)
	count, unit := Count, " "+p.unit
	if p.unit == "bytes" {
		count, unit = Bytes, ""
	}
	rate := count(int64(perSecond))
	if perSecond < 10 && unit != "" {
		rate = strconv.FormatFloat(perSecond, 'f', 1, 64)
	}
	if total <= 0 {
		return fmt.Sprintf("%s: %s%s, %s/s", p.what, count(done), unit, rate)
	}
	left := "?"
	if perSecond > 0 {
		left = (time.Duration(float64(total-done)/perSecond) * time.Second).String()
	}
	return fmt.Sprintf("%s: %s of %s%s (%d%%), %s/s, %s left", p.what, count(done), count(total), unit, 100*done/total, rate, left)
}

// rate is that of the last seconds: work does not go evenly.
type rate struct {
	at0, at1     time.Duration
	done0, done1 int64
}

const rateWindow = 5 * time.Second

func (r *rate) at(t time.Duration, done int64) float64 {
	if t-r.at1 >= rateWindow {
		r.at0, r.done0 = r.at1, r.done1
		r.at1, r.done1 = t, done
	}
	if t <= r.at0 {
		return 0
	}
	return float64(done-r.done0) / (t - r.at0).Seconds()
}

// Count writes a number with a comma between thousands.
func Count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Bytes writes a size with a binary unit.
func Bytes(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v, i := float64(n)/1024, 0
	for v >= 1024 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	return fmt.Sprintf("%.1f %ciB", v, units[i])
}
