package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rollforward/rollforward/internal/cli"
)

// A neighbour is a command that runs beside others on one directory.
type neighbour struct {
	name   string
	args   []string
	cmd    *exec.Cmd
	stderr *bytes.Buffer
	over   chan error
}

func (n *neighbour) start(t *testing.T) {
	t.Helper()
	n.cmd, n.stderr = process(n.name, n.args...)
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	n.over = over
	go func(cmd *exec.Cmd) { over <- cmd.Wait() }(n.cmd)
}

// interrupt asks the command to end.
func (n *neighbour) interrupt(t *testing.T) {
	t.Helper()
	if err := n.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
}

// ends checks that the command ends well.
func (n *neighbour) ends(t *testing.T) {
	t.Helper()
	select {
	case err := <-n.over:
		if err != nil {
			t.Errorf("%s %q: %v\n%s", n.name, n.args, err, n.stderr)
		}
	case <-time.After(time.Minute):
		_ = n.cmd.Process.Signal(syscall.SIGQUIT) // it tells where it is
		<-n.over
		t.Errorf("%s %q does not stop\n%s", n.name, n.args, n.stderr)
	}
}

// alive fails the test when the command has ended by itself.
func (n *neighbour) alive(t *testing.T) {
	t.Helper()
	select {
	case err := <-n.over:
		t.Fatalf("%s %q has ended by itself: %v\n%s", n.name, n.args, err, n.stderr)
	default:
	}
}

// TestSideBySide runs two loads, the runner of sagas and the projector on one
// directory, and other commands beside them, and kills one at random again and
// again, whoever owns the directory. In the end the books are in order and nothing
// acknowledged is lost.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	must(t, at(log, "load", "--clients", "1", "--duration", "0s")...)
	var acks []string
	var list []*neighbour
	for i := range 2 {
		acks = append(acks, filepath.Join(dir, fmt.Sprint("acks", i)))
		list = append(list, &neighbour{name: "bank", args: at(log, "load", "--clients", "4", "--duration", "5m", "--acks", acks[i])})
	}
	list = append(list, &neighbour{name: "sagarunner", args: []string{"--log", log}}, &neighbour{name: "projector", args: []string{"--log", log}})
	for _, n := range list {
		n.start(t)
	}
	for round := range rounds() - 1 {
		moreAcks(t, list, acks)
		for _, line := range []string{"balances", "statement load-0001", "trace nosuch"} {
			if o := runBank(append(strings.Fields(line), "--log", log)...); strings.Contains(o.errOut, "held") {
				t.Errorf("bank %s beside others: %+v", line, o)
			}
		}
		outputOf(t, "eventlog", "stats", "--log", log)
		outputOf(t, "eventlog", "read", "--limit", "3", "--log", log)
		n := list[rand.IntN(len(list))]
		if err := n.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-n.over
		t.Logf("round %d: killed %s", round, n.name)
		n.start(t)
	}
	moreAcks(t, list, acks)
	outputOf(t, "eventlog", "verify", "--log", log)
	backup := filepath.Join(dir, "backup")
	outputOf(t, "eventlog", "backup", backup, "--log", log)
	outputOf(t, "eventlog", "verify", "--log", backup)
	for _, part := range [][]*neighbour{list[:2], list[2:]} { // a load ends when no step is left to be done
		for _, n := range part {
			n.interrupt(t)
		}
		for _, n := range part {
			n.ends(t)
		}
	}
	must(t, at(log, "load", "--clients", "1", "--duration", "0s")...) // decides on what waits
	for _, file := range acks {
		if o := runBank(at(log, "audit", "--acks", file)...); o.status != cli.OK {
			t.Errorf("exit status %d\n%s%s", o.status, o.out, o.errOut)
		}
	}
}

// moreAcks waits until both loads have acknowledged more.
func moreAcks(t *testing.T, list []*neighbour, acks []string) {
	t.Helper()
	count := func(file string) int {
		text, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return bytes.Count(text, []byte("\n"))
	}
	deadline := time.After(time.Minute)
	for _, file := range acks {
		for want := count(file) + 1 + rand.IntN(20); count(file) < want; {
			for _, n := range list {
				n.alive(t)
			}
			select {
			case <-time.After(time.Millisecond):
			case <-deadline:
				t.Fatalf("%s does not grow", file)
			}
		}
	}
}

// outputOf runs a command as a process of its own, which has to succeed.
func outputOf(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd, stderr := process(name, args...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, stderr)
	}
	return string(out)
}
