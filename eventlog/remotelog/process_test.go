package remotelog

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// processVariable makes this binary a process of that kind.
const processVariable = "REMOTELOG_TEST_PROCESS"

// processes are what a process of its own can do. It is told on standard input and
// tells on standard output.
var processes = map[string]func(args []string) error{}

// A process is this binary, at some work.
type process struct {
	t      testing.TB
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Scanner
	stderr bytes.Buffer
	ended  chan struct{}
	err    error
}

func start(t testing.TB, kind string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(os.Args[0], args...), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), processVariable+"="+kind)
	p.cmd.Stderr = &p.stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in, p.out, p.cmd.Stdout = in, bufio.NewScanner(r), w
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	go func() {
		defer close(p.ended)
		p.err = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.kill()
		_ = r.Close()
	})
	return p
}

// tell writes a line to the process.
func (p *process) tell(line string) {
	p.t.Helper()
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		p.t.Fatalf("tell %q: %v\n%s", line, err, &p.stderr)
	}
}

// hear returns the process's next line.
func (p *process) hear() string {
	p.t.Helper()
	if !p.out.Scan() {
		<-p.ended
		p.t.Fatalf("the process has ended: %v\n%s", p.err, &p.stderr)
	}
	return strings.TrimSpace(p.out.Text())
}

// kill ends the process at once, by SIGKILL.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// end lets the process come to its end.
func (p *process) end() {
	p.t.Helper()
	_ = p.in.Close()
	if <-p.ended; p.err != nil {
		p.t.Errorf("the process: %v\n%s", p.err, &p.stderr)
	}
}
