package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A fleet is processes that share one log.
type fleet struct {
	*testing.T
	log  string   // what --log says
	env  []string // of all processes
	more []string // arguments of all processes
	dir  string
	all  []*ship
}

// A ship is a process that is started again when it has gone down.
type ship struct {
	command string
	args    []string
	acks    string
	cmd     *exec.Cmd
	errOut  *bytes.Buffer
	over    chan error
	sunk    int
}

// fleetSize is how many processes of a kind there are, fleetRounds how often one is
// killed.
const fleetSize = 2

func fleetRounds() int {
	if os.Getenv("ROLLFORWARD_SOAK") != "" {
		return 100
	}
	return 6
}

// TestFleetOnADirectory: appenders, saga runners and projectors work on one directory
// in processes of their own, whichever of them holds it.
func TestFleetOnADirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sail(&fleet{T: t, dir: dir, log: filepath.Join(dir, "log")})
}

// sail kills processes of a fleet at random and starts them again. No transfer that
// was acknowledged is lost, each that was started comes to its end, money is
// conserved, and the read model is what a replay makes of the log.
func sail(f *fleet) {
	f.Helper()
	f.one("bank", append([]string{"load", "--clients", "1", "--duration", "0s"}, f.more...)...) // its accounts
	for n := range fleetSize {
		acks := filepath.Join(f.dir, fmt.Sprintf("acks-%d", n))
		writeFile(f.T, acks, "")
		f.all = append(f.all,
			&ship{command: "bank", args: []string{"load", "--without-sagas", "--clients", "4", "--duration", "10m", "--acks", acks}, acks: acks},
			&ship{command: "sagarunner"}, &ship{command: "projector"})
	}
	for _, s := range f.all {
		f.launch(s)
	}
	for round := range fleetRounds() {
		f.progress(20)
		s := f.all[(round+rand.IntN(2))%len(f.all)]
		_ = s.cmd.Process.Kill() // if it has not gone down by itself, which is looked at now
		err := <-s.over
		if status, ok := s.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() {
			f.Fatalf("%s %q ended by itself: %v\n%s", s.command, s.args, err, s.errOut)
		}
		s.sunk++
		f.launch(s)
	}
	f.progress(20)
	f.dock("bank")
	f.dock("sagarunner")
	f.dock("projector")
	var acks strings.Builder
	for _, s := range f.all {
		if s.acks != "" {
			acks.WriteString(read(f.T, s.acks))
		}
	}
	file := filepath.Join(f.dir, "acks")
	writeFile(f.T, file, acks.String())
	out := f.one("bank", append([]string{"audit", "--acks", file}, f.more...)...)
	if !strings.Contains(out, "none") || strings.Count(acks.String(), "\n") < 20*fleetRounds() {
		f.Errorf("%d transfers were acknowledged; audit:\n%s", strings.Count(acks.String(), "\n"), out)
	}
}

// one runs a command to its end.
func (f *fleet) one(command string, args ...string) string {
	f.Helper()
	cmd, errOut := f.start(command, args...)
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		f.Fatalf("%s %q: %v\n%s%s", command, args, err, &out, errOut)
	}
	return out.String()
}

func (f *fleet) start(command string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	cmd, errOut := process(command, slices.Concat(args, []string{"--log", f.log})...)
	cmd.Env = append(cmd.Env, f.env...)
	return cmd, errOut
}

func (f *fleet) launch(s *ship) {
	f.Helper()
	s.cmd, s.errOut = f.start(s.command, slices.Concat(s.args, f.more)...)
	if err := s.cmd.Start(); err != nil {
		f.Fatal(err)
	}
	over, cmd := make(chan error, 1), s.cmd
	s.over = over
	go func() { over <- cmd.Wait() }()
	f.Cleanup(func() { _ = cmd.Process.Kill() })
}

// progress waits for so many more acknowledgements.
func (f *fleet) progress(n int) {
	f.Helper()
	count := func() (lines int) {
		for _, s := range f.all {
			if s.acks != "" {
				lines += strings.Count(read(f.T, s.acks), "\n")
			}
		}
		return lines
	}
	tick, late := time.NewTicker(5*time.Millisecond), time.NewTimer(2*time.Minute)
	defer tick.Stop()
	defer late.Stop()
	for want := count() + n; count() < want; {
		select {
		case <-tick.C:
		case <-late.C:
			for _, s := range f.all {
				f.Logf("%s, killed %d times:\n%s", s.command, s.sunk, s.errOut)
			}
			f.Fatal("nothing goes on")
		}
		for _, s := range f.all {
			select {
			case err := <-s.over:
				f.Fatalf("%s %q ended by itself: %v\n%s", s.command, s.args, err, s.errOut)
			default:
			}
		}
	}
}

// dock ends the processes of a command in order.
func (f *fleet) dock(command string) {
	f.Helper()
	for _, s := range f.all {
		if s.command == command {
			_ = s.cmd.Process.Signal(syscall.SIGTERM) // Wait tells
		}
	}
	for _, s := range f.all {
		if s.command != command {
			continue
		}
		if err := <-s.over; err != nil {
			f.Fatalf("%s %q, told to stop: %v\n%s", s.command, s.args, err, s.errOut)
		}
	}
}

// process is this binary as one of the bank's commands.
func process(command string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "BANK_TEST_COMMAND="+command)
	errOut := new(bytes.Buffer)
	cmd.Stderr = errOut
	return cmd, errOut
}
