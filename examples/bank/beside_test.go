package main

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/pstest"

	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/internal/emulator"
	"github.com/rollforward/rollforward/internal/race"
)

// A neighbour is a command that runs beside others on one directory.
type neighbour struct {
	name   string
	args   []string
	env    []string
	cmd    *exec.Cmd
	stderr *bytes.Buffer
	over   chan error
}

func (n *neighbour) start(t *testing.T) {
	t.Helper()
	n.cmd, n.stderr = process(n.name, n.args...)
	n.cmd.Env = append(n.cmd.Env, n.env...)
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	n.over = over
	go func(cmd *exec.Cmd) { over <- cmd.Wait() }(n.cmd)
	t.Cleanup(func() { _ = n.cmd.Process.Kill() })
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

// TestSideBySide: on one directory, whoever owns it, with other commands beside.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	besideEachOther(t, log, nil, rounds()-1, func() {
		for _, line := range []string{"balances", "statement load-0001", "trace nosuch"} {
			if o := runBank(append(strings.Fields(line), "--log", log)...); strings.Contains(o.errOut, "held") {
				t.Errorf("bank %s beside others: %+v", line, o)
			}
		}
		outputOf(t, "eventlog", "stats", "--log", log)
		outputOf(t, "eventlog", "read", "--limit", "3", "--log", log)
	}, func() {
		if !race.Enabled { // it would never catch up with those who write
			outputOf(t, "eventlog", "verify", "--log", log)
		}
		backup := filepath.Join(dir, "backup")
		outputOf(t, "eventlog", "backup", backup, "--log", log)
		outputOf(t, "eventlog", "verify", "--log", backup)
	})
}

// TestSideBySideInDatastore: on one log in Datastore, in process, on its emulator, and in soaks on that of Firestore, too, where
// half of the processes are woken over Pub/Sub (in soaks that of the emulator) and for the others every notification is lost.
func TestSideBySideInDatastore(t *testing.T) {
	t.Parallel()
	notWithRace(t)
	list, bellsOf := []cloud{clouds[0], indexed}, func(t testing.TB) string {
		s := pstest.NewServer()
		t.Cleanup(func() { _ = s.Close() })
		return s.Addr
	}
	if os.Getenv("ROLLFORWARD_SOAK") != "" {
		list, bellsOf = clouds, emulator.PubSub.Host
	}
	for _, c := range list {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bells := []string{"EVENTLOG_NOTIFY=pubsub://" + emulator.Project() + "/bells", "PUBSUB_EMULATOR_HOST=" + bellsOf(t)}
			besideEachOther(t, c.log(t), bells, rounds()-1, func() {}, func() {})
		})
	}
}

// besideEachOther runs two loads, two runners of sagas and two projectors on one log, kills
// one at random again and again and starts it anew, and does between in between; half of the
// processes have bells in their environment. In the
// end the books are in order, nothing acknowledged is lost, and the read model is what
// a replay makes of the log.
func besideEachOther(t *testing.T, log string, bells []string, rounds int, between, late func()) {
	t.Helper()
	must(t, at(log, "load", "--clients", "1", "--accounts", "20", "--duration", "0s")...)
	var acks []string
	var list []*neighbour
	for i := range 2 {
		acks = append(acks, filepath.Join(t.TempDir(), "acks"))
		list = append(list, &neighbour{name: "bank", args: []string{"load", "--without-sagas", "--clients", "4", "--accounts", "20", "--duration", "10m", "--acks", acks[i]}},
			&neighbour{name: "sagarunner"}, &neighbour{name: "projector"})
	}
	for i, n := range list {
		n.args = append(n.args, "--log", log)
		if i < len(list)/2 {
			n.env = bells
		}
		n.start(t)
	}
	for round := range rounds {
		moreAcks(t, list, acks)
		between()
		n := list[rand.IntN(len(list))]
		if err := n.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-n.over
		t.Logf("round %d: killed %s", round, n.name)
		n.start(t)
	}
	moreAcks(t, list, acks)
	late()
	for _, name := range []string{"bank", "sagarunner", "projector"} { // a load ends when its transfers have
		for _, n := range list {
			if n.name == name {
				n.interrupt(t)
			}
		}
		for _, n := range list {
			if n.name == name {
				n.ends(t)
			}
		}
	}
	must(t, at(log, "load", "--clients", "1", "--accounts", "20", "--duration", "0s")...) // decides on what waits
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
	deadline := time.After(2 * time.Minute)
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
