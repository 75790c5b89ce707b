package pebblelog

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// writeUntilKilled appends from eight goroutines and says what is acknowledged.
func writeUntilKilled(dir string) int {
	l, err := Open(dir, &Options{MemTableSize: 1 << 20})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	failed := make(chan error)
	for shard := range 8 {
		go func() {
			rev, err := l.Tail(context.Background(), shard)
			for err == nil {
				rev++
				err = l.Write(context.Background(), driver.Write{Batches: []driver.Batch{
					commit(shard, rev, killText(shard, rev), driver.Key{Name: "a", Pos: uint64(rev)}),
				}})
				fmt.Fprintf(os.Stdout, "%d %d\n", shard, rev)
			}
			failed <- err
		}()
	}
	fmt.Println(<-failed)
	return 1
}

func killText(shard int, rev driver.Revision) string {
	return fmt.Sprintf("%d/%d %s", shard, rev, strings.Repeat("x", int(rev%500)))
}

// TestKilledProcess kills a writing process at random moments: what it had
// acknowledged is there.
func TestKilledProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	acked := map[int]driver.Revision{}
	for range rounds(2) {
		killOnce(t, dir, acked)
		l, err := Open(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		for shard, rev := range acked {
			n := driver.Revision(0)
			for c, err := range l.Read(t.Context(), shard, driver.Range{}) {
				if err != nil {
					t.Fatal(err)
				}
				if n++; string(c.Data) != killText(shard, n) {
					t.Fatalf("shard %d revision %d reads %.40q", shard, n, c.Data)
				}
			}
			if n < rev {
				t.Errorf("shard %d: revision %d was acknowledged, %d are there", shard, rev, n)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killOnce lets a process write for a while and notes what it acknowledges.
func killOnce(t *testing.T, dir string, acked map[int]driver.Revision) {
	cmd := exec.Command(os.Args[0], "-test.run=none")
	cmd.Env = append(os.Environ(), "PEBBLELOG_TEST_WRITE="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	lines, left := bufio.NewScanner(out), 100+rand.IntN(2000)
	for lines.Scan() {
		var shard int
		var rev driver.Revision
		if n, err := fmt.Sscan(lines.Text(), &shard, &rev); n != 2 {
			t.Errorf("the writer says %q, %v", lines.Text(), err)
			break
		}
		acked[shard] = max(acked[shard], rev)
		if left--; left == 0 {
			cmd.Process.Kill()
		}
	}
}
