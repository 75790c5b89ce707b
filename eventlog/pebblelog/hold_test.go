package pebblelog

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// TestMain makes the test binary a second process when it is asked to be one.
func TestMain(m *testing.M) {
	if dir := os.Getenv("PEBBLELOG_TEST_HOLD"); dir != "" {
		os.Exit(holdDirectory(dir))
	}
	if dir := os.Getenv("PEBBLELOG_TEST_WRITE"); dir != "" {
		os.Exit(writeUntilKilled(dir))
	}
	os.Exit(m.Run())
}

// holdDirectory opens dir, says so, and holds it until its input ends.
func holdDirectory(dir string) int {
	l, err := Open(dir, nil)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("open")
	io.Copy(io.Discard, os.Stdin)
	if err := l.Close(); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// another starts a process that holds dir.
func another(t *testing.T, dir string) (cmd *exec.Cmd, end func() error) {
	t.Helper()
	cmd = exec.Command(os.Args[0], "-test.run=none", "a second process")
	cmd.Env = append(os.Environ(), "PEBBLELOG_TEST_HOLD="+dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "open\n" {
		t.Fatalf("the second process says %q, %v", line, err)
	}
	return cmd, func() error { return errors.Join(in.Close(), cmd.Wait()) }
}

// TestHeldDirectory opens a directory that another process has: the error names
// its process and command line. When it is gone, cleanly or not, the directory
// opens.
func TestHeldDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, kill := range []bool{false, true} {
		cmd, end := another(t, dir)
		l, err := Open(dir, nil)
		if err == nil {
			l.Close()
			t.Fatal("a held directory opened")
		}
		var held *HeldError
		if !errors.As(err, &held) || !errors.Is(err, ErrHeld) {
			t.Fatalf("%v, expected a *HeldError", err)
		}
		if held.PID != cmd.Process.Pid || !strings.Contains(held.Command, "a second process") || held.Since.IsZero() {
			t.Errorf("%+v does not name process %d", held, cmd.Process.Pid)
		}
		if !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), fmt.Sprint(cmd.Process.Pid)) {
			t.Errorf("%v: no directory or no process id", err)
		}
		if kill {
			cmd.Process.Kill()
			cmd.Wait()
		} else if err := end(); err != nil {
			t.Fatal(err)
		}
		l, err = Open(dir, nil)
		if err != nil {
			t.Fatalf("after the other process (killed: %v): %v", kill, err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestHeldByItself opens a directory twice in one process, also by another name.
func TestHeldByItself(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Dir(dir))
	for _, name := range []string{dir, link, filepath.Base(dir), dir + "/../" + filepath.Base(dir)} {
		var held *HeldError
		if _, err := Open(name, nil); !errors.As(err, &held) || held.PID != os.Getpid() {
			t.Errorf("open %s: %v, expected a *HeldError of this process", name, err)
		}
	}
	mustWrite(t, l, nil, commit(0, 1, "still held"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, ownerFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the owner file after Close: %v", err)
	}
	if err := l.Close(); !errors.Is(err, driver.ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
}
