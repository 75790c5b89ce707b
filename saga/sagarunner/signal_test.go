package sagarunner

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// SIGTERM under load: the batches in hand are finished, the rest is left, and the
// next start goes on at once, though its lease would last for minutes. Each
// step has its effect once.
func TestTerminated(t *testing.T) {
	t.Parallel()
	const total = 2000
	dir := newLog(t, works(total, 100))
	args := append([]string{"--log", dir, "--batch", "4"}, longLease...)
	left := total
	for round := range 3 {
		p := startProcess(t, within(t), "load", args...)
		p.waitFor(100)
		p.signal(syscall.SIGTERM)
		status, stderr := p.wait()
		if status != 0 || !strings.Contains(stderr, "worker: stopped") || strings.Contains(stderr, "WARN") {
			t.Errorf("round %d: status %d: %s", round, status, stderr)
		}
		free(t, dir)
		done, pending := count(t, dir)
		if done+pending != total || pending >= left || pending == 0 {
			t.Errorf("round %d: %d steps are done, %d pending, before it was %d", round, done, pending, left)
		}
		left = pending
	}
	p := startProcess(t, within(t), "load", append(args, "--drain")...)
	if status, stderr := p.wait(); status != 0 {
		t.Errorf("status %d: %s", status, stderr)
	}
	if done, pending := count(t, dir); done != total || pending != 0 {
		t.Errorf("%d steps are done, %d pending", done, pending)
	}
}

// The batch in hand is finished, however long a signal has been there.
func TestTerminatedInAStep(t *testing.T) {
	t.Parallel()
	dir := newLog(t, works(1, 1))
	p := startProcess(t, within(t), "slow", "--log", dir)
	p.waitFor(1)
	p.signal(syscall.SIGTERM)
	if status, stderr := p.wait(); status != 0 {
		t.Errorf("status %d: %s", status, stderr)
	}
	if done, pending := count(t, dir); done != 1 || pending != 0 {
		t.Errorf("%d steps are done, %d pending", done, pending)
	}
}

// Work that outlasts the grace is given up; no attempt counts, and the next
// start does it at once.
func TestGrace(t *testing.T) {
	t.Parallel()
	dir := newLog(t, works(1, 1))
	p := startProcess(t, within(t), "patient", append([]string{"--log", dir, "--grace", "100ms"}, longLease...)...)
	p.waitFor(1)
	p.signal(os.Interrupt)
	if status, stderr := p.wait(); status != 0 || strings.Contains(stderr, "given back") {
		t.Errorf("status %d: %s", status, stderr)
	}
	free(t, dir)
	if done, pending := count(t, dir); done != 0 || pending != 1 {
		t.Errorf("%d steps are done, %d pending", done, pending)
	}
	p = startProcess(t, within(t), "slow", append([]string{"--log", dir}, longLease...)...)
	p.waitFor(1)
	p.signal(syscall.SIGTERM)
	if status, stderr := p.wait(); status != 0 {
		t.Errorf("status %d: %s", status, stderr)
	}
	if done, pending := count(t, dir); done != 1 || pending != 0 {
		t.Errorf("%d steps are done, %d pending", done, pending)
	}
}

// A handler that never returns does not keep the process; a second signal ends
// it at once.
func TestStuck(t *testing.T) {
	t.Parallel()
	dir := newLog(t, works(1, 1))
	p := startProcess(t, within(t), "stuck", "--log", dir, "--grace", "100ms")
	p.waitFor(1)
	p.signal(syscall.SIGTERM)
	if status, stderr := p.wait(); status != 1 || !strings.Contains(stderr, "worker: what was in hand is not finished after 2.1s") {
		t.Errorf("status %d: %s", status, stderr)
	}
	p = startProcess(t, within(t), "stuck", "--log", dir, "--grace", "1h")
	p.waitFor(1)
	p.signal(syscall.SIGTERM)
	<-p.stderr.heard
	p.signal(syscall.SIGTERM)
	_, stderr := p.wait()
	if w := p.cmd.ProcessState.Sys().(syscall.WaitStatus); w.Signal() != syscall.SIGTERM {
		t.Errorf("it ended by signal %v: %s", w.Signal(), stderr)
	}
	if done, pending := count(t, dir); done != 0 || pending != 1 {
		t.Errorf("%d steps are done, %d pending", done, pending)
	}
}
