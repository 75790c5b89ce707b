package remotelog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

type view struct {
	tail   driver.Revision // durable
	num    int64
	ahead  driver.Revision // with foreign, == tail without
	anum   int64
	behind [16]byte
}

func TestRevChain(t *testing.T) {
	if os.Getenv("REVSOAK") == "" {
		t.Skip()
	}
	secs, _ := strconv.Atoi(os.Getenv("REVSOAK"))
	takeover := os.Getenv("TAKEOVER") != ""
	dir := t.TempDir()
	const shards = 3
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(secs)*time.Second)
	defer cancel()
	var nums, okN, tailN, aheadN, behindOK, behindFail, cellN, unknown, cellBehind, long atomic.Int64
	var amu sync.Mutex
	acked := map[int64]bool{}
	var wg sync.WaitGroup
	for p := range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				l, err := Open(t.Context(), dir, &Options{})
				if err != nil {
					t.Error(err)
					return
				}
				life := time.Duration(secs) * time.Second
				if takeover {
					life = time.Duration(10+rand.IntN(60)) * time.Millisecond
				}
				pctx, stop := context.WithTimeout(ctx, life)
				var in sync.WaitGroup
				for w := range 1 + p%3 {
					in.Go(func() {
						_ = w
						views := make([]view, shards)
						fresh := func(s int) bool {
							tail, err := l.Tail(context.Background(), s)
							if err != nil {
								return false
							}
							v := view{tail: tail, ahead: tail}
							if tail > 0 {
								for c, err := range l.Read(context.Background(), s, driver.Range{From: uint64(tail), To: uint64(tail) + 1}) {
									if err != nil {
										return false
									}
									v.num, _ = strconv.ParseInt(strings.SplitN(string(c.Data), "|", 2)[0], 10, 64)
								}
							}
							v.anum = v.num
							views[s] = v
							return true
						}
						for pctx.Err() == nil {
							w := driver.Write{TakesAhead: rand.IntN(10) > 0}
							for i := range w.ID {
								w.ID[i] = byte(rand.IntN(256))
							}
							first := rand.IntN(shards)
							var mine []int64
							ends := map[int]int64{}
							named := false
							for k := range 1 + rand.IntN(3) {
								s := (first + k) % shards
								v := views[s]
								b := driver.Batch{Shard: s, First: v.ahead + 1}
								if v.ahead > v.tail {
									b.Behind, named = v.behind, true
								}
								n := 1 + rand.IntN(3)
								if k > 0 && rand.IntN(2) == 0 {
									n = 0
								}
								pred := v.anum
								saw := ""
								for o := range shards {
									_ = o
								}
								for i := range n {
									num := nums.Add(1)
									mine = append(mine, num)
									b.Commits = append(b.Commits, driver.Commit{Revision: b.First + driver.Revision(i), Data: fmt.Appendf(nil, "%d|%d|%s", num, pred, saw), Time: num,
										Keys: []driver.Key{{Name: "k" + strconv.Itoa(int(num)), Pos: uint64(b.First) + uint64(i)}}})
									pred = num
								}
								ends[s] = pred
								w.Batches = append(w.Batches, b)
							}
							// the first batch's last commit says what the checks rest on
							c := &w.Batches[0].Commits[len(w.Batches[0].Commits)-1]
							for _, b := range w.Batches {
								if len(b.Commits) == 0 {
									c.Data = fmt.Appendf(c.Data, "%d:%d:%d,", b.Shard, b.First-1, views[b.Shard].anum)
								}
							}
							bad := rand.IntN(15) == 0
							if bad {
								one := uint64(5)
								w.Cells = []driver.CellOp{{If: &one, Cell: driver.Cell{Key: "none"}}}
							}
							octx, ocancel := context.Background(), func() {}
							if rand.IntN(30) == 0 {
								octx, ocancel = context.WithTimeout(octx, time.Duration(rand.IntN(1500))*time.Microsecond)
							}
							begin := time.Now()
							err := l.Write(octx, w)
							ocancel()
							if d := int64(time.Since(begin)); d > long.Load() {
								long.Store(d)
							}
							var tail *driver.TailError
							var cell *driver.CellError
							switch {
							case err == nil:
								okN.Add(1)
								if named {
									behindOK.Add(1)
								}
								amu.Lock()
								for _, n := range mine {
									acked[n] = true
								}
								amu.Unlock()
								for _, b := range w.Batches {
									e := b.First - 1 + driver.Revision(len(b.Commits))
									views[b.Shard] = view{tail: e, ahead: e, num: ends[b.Shard], anum: ends[b.Shard]}
								}
							case errors.As(err, &tail):
								tailN.Add(1)
								if named {
									behindFail.Add(1)
								}
								for _, b := range w.Batches {
									s := b.Shard
									told := false
									v := views[s]
									for _, nb := range tail.News {
										if nb.Shard == s && nb.First == b.First {
											told = true
											v.tail, v.num = b.First-1, views[s].anum
											for _, c := range nb.Commits {
												v.tail, v.num = c.Revision, c.Time
											}
										}
									}
									if told {
										v.ahead, v.anum = v.tail, v.num
									}
									for _, f := range tail.Ahead {
										if f.Batch.Shard != s {
											continue
										}
										if !told && f.Batch.First == b.First {
											told = true
										}
										if !told || f.Batch.First != v.ahead+1 {
											break
										}
										for _, c := range f.Batch.Commits {
											v.ahead, v.anum, v.behind = c.Revision, c.Time, f.Write
											aheadN.Add(1)
										}
									}
									if told {
										views[s] = v
									} else if !fresh(s) {
										return
									}
								}
							case errors.As(err, &cell):
								cellN.Add(1)
								if named {
									cellBehind.Add(1)
								}
								if rand.IntN(2) == 0 {
									for s := range shards {
										if !fresh(s) {
											return
										}
									}
								}
							case errors.Is(err, driver.ErrClosed) && !errors.Is(err, driver.ErrUnknown):
								return
							default:
								if errors.Is(err, driver.ErrUnknown) {
									unknown.Add(1)
								} else if octx.Err() == nil {
									t.Error(err)
								}
								for s := range shards {
									if !fresh(s) {
										return
									}
								}
							}
						}
					})
				}
				in.Wait()
				stop()
				_ = l.Close()
			}
		})
	}
	wg.Wait()
	keeper := share(t, dir, Options{})
	t.Logf("ok %d, refused %d, told of %d ahead, behind: ok %d, refused %d, cell %d; cells %d, unknown %d, longest %v", okN.Load(), tailN.Load(), aheadN.Load(), behindOK.Load(), behindFail.Load(), cellBehind.Load(), cellN.Load(), unknown.Load(), time.Duration(long.Load()))
	at := map[[2]int64]int64{}
	type claim struct{ s, rev, num, by int64 }
	var claims []claim
	found := map[int64]int{}
	bad := 0
	for s := range shards {
		var last int64
		n := 0
		for c, err := range keeper.Read(t.Context(), s, driver.Range{}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
			parts := strings.Split(string(c.Data), "|")
			num, _ := strconv.ParseInt(parts[0], 10, 64)
			pred, _ := strconv.ParseInt(parts[1], 10, 64)
			if pred != last {
				if bad++; bad < 10 {
					t.Errorf("shard %d revision %d: commit %d is behind %d, made for %d", s, c.Revision, num, last, pred)
				}
			}
			at[[2]int64{int64(s), int64(c.Revision)}] = num
			found[num]++
			last = num
			for _, x := range strings.Split(parts[2], ",") {
				if x != "" {
					var cl claim
					fmt.Sscanf(x, "%d:%d:%d", &cl.s, &cl.rev, &cl.num)
					cl.by = num
					claims = append(claims, cl)
				}
			}
		}
		t.Logf("shard %d: %d", s, n)
	}
	for _, c := range claims {
		if at[[2]int64{c.s, c.rev}] != c.num {
			t.Errorf("%d saw %d at shard %d revision %d, it is %d", c.by, c.num, c.s, c.rev, at[[2]int64{c.s, c.rev}])
		}
	}
	for n := range acked {
		if found[n] != 1 {
			t.Errorf("%d acknowledged, there %d times", n, found[n])
		}
	}
}
