package eventlog_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
)

// benchEach runs a benchmark on a log in memory, where only this package costs,
// and on the embedded one.
func benchEach(b *testing.B, f func(b *testing.B, l *eventlog.Log)) {
	open := map[string]func() (driver.Log, error){
		"mem":    func() (driver.Log, error) { return memlog.Open(), nil },
		"pebble": func() (driver.Log, error) { return pebblelog.Open(b.TempDir(), nil) },
	}
	for _, name := range []string{"mem", "pebble"} {
		b.Run(name, func(b *testing.B) {
			d, err := open[name]()
			if err != nil {
				b.Fatal(err)
			}
			l, err := eventlog.Open(b.Context(), d, nil)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() {
				if err := l.Close(); err != nil {
					b.Error(err)
				}
			})
			f(b, l)
		})
	}
}

var benchPayload = func() []byte {
	p := fmt.Sprintf(`{"amount":%d,"currency":"EUR","text":"`, 4711)
	for len(p) < 254 {
		p += string(rune('a' + len(p)*7%26))
	}
	return []byte(p + `"}`)
}()

// BenchmarkAppend: appenders that expect a version, each with streams of its own.
func BenchmarkAppend(b *testing.B) {
	for _, appenders := range []int{1, 64, 1024} {
		b.Run(fmt.Sprint(appenders), func(b *testing.B) {
			benchEach(b, func(b *testing.B, l *eventlog.Log) {
				benchAppend(b, l, appenders)
			})
		})
	}
}

func benchAppend(b *testing.B, l *eventlog.Log, appenders int) {
	ctx := context.Background()
	event := eventlog.Raw{Type: "bench.posted", Data: benchPayload}
	each := max(10_000/appenders, 1)
	b.ReportAllocs()
	b.ResetTimer()
	spread(b, appenders, func(w, n int) {
		stream := fmt.Sprintf("account/%d-%d", w, n%each)
		o := eventlog.AppendOptions{Expect: eventlog.Exactly(uint64(n / each))}
		if _, err := l.Append(ctx, stream, &o, event); err != nil {
			b.Error(err)
		}
	})
}

// BenchmarkUpdate: read-modify-write of one stream, and of many.
func BenchmarkUpdate(b *testing.B) {
	for _, streams := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("streams=%d", streams), func(b *testing.B) {
			benchEach(b, func(b *testing.B, l *eventlog.Log) {
				ctx := context.Background()
				b.ReportAllocs()
				b.ResetTimer()
				spread(b, 64, func(w, n int) {
					stream := fmt.Sprintf("account/%d", (w*7919+n)%streams)
					_, err := l.Update(ctx, func(tx *eventlog.Tx) error {
						if _, err := account.Load(tx, stream); err != nil {
							return err
						}
						return tx.Append(stream, Posted{1})
					})
					if err != nil {
						b.Error(err)
					}
				})
			})
		})
	}
}

// spread runs f b.N times in all, by so many goroutines, and counts for each.
func spread(b *testing.B, workers int, f func(worker, n int)) {
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan struct{})
	for w := range workers {
		go func() {
			for n := 0; left.Add(-1) >= 0; n++ {
				f(w, n)
			}
			done <- struct{}{}
		}()
	}
	for range workers {
		<-done
	}
}

// BenchmarkReplay: all records of a log, shard by shard, against the driver
// alone.
func BenchmarkReplay(b *testing.B) {
	benchEach(b, func(b *testing.B, l *eventlog.Log) {
		ctx := context.Background()
		const commits = 100_000
		event := eventlog.Raw{Type: "bench.posted", Data: benchPayload}
		work := make(chan int)
		done := make(chan struct{})
		for range 256 {
			go func() {
				for i := range work {
					if _, err := l.Append(ctx, fmt.Sprintf("account/%d", i%10_000), nil, event); err != nil {
						b.Error(err)
					}
				}
				done <- struct{}{}
			}()
		}
		for i := range commits {
			work <- i
		}
		close(work)
		for range 256 {
			<-done
		}
		b.ReportAllocs()
		b.ResetTimer()
		n := 0
		for n < b.N {
			for s := range l.Shards() {
				for _, err := range l.Read(ctx, eventlog.Query{Shards: []int{s}}) {
					if err != nil {
						b.Fatal(err)
					}
					if n++; n == b.N {
						return
					}
				}
			}
		}
	})
}
