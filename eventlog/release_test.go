package eventlog

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/rollforward/rollforward/eventlog/memlog"
)

// TestReadersReleaseEverything: who followed or waited, and stopped, leaves
// nothing in the log, however it stopped.
func TestReadersReleaseEverything(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		l, err := Open(t.Context(), store.Open(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		p, err := l.Append(t.Context(), "s", nil, Raw{Type: "t"}, Raw{Type: "t"})
		if err != nil {
			t.Fatal(err)
		}
		next := p.With(l.ShardOf("s"), p.Revision(l.ShardOf("s"))+1)
		for name, use := range map[string]func(ctx context.Context, cancel func()){
			"dropped": func(ctx context.Context, _ func()) {
				for range l.Read(ctx, Query{Follow: true, Stream: "s"}) {
					return
				}
			},
			"limited": func(ctx context.Context, _ func()) {
				for range l.Read(ctx, Query{Follow: true, Shards: []int{l.ShardOf("s")}, Limit: 2}) {
				}
			},
			"cancelled while it reads": func(ctx context.Context, cancel func()) {
				for range l.Read(ctx, Query{Follow: true, Stream: "s"}) {
					cancel()
				}
			},
			"cancelled while it waits": func(ctx context.Context, cancel func()) {
				go func() { synctest.Wait(); cancel() }()
				for range l.Read(ctx, Query{Follow: true}) {
				}
			},
			"panicked": func(ctx context.Context, _ func()) {
				defer func() { recover() }()
				for range l.Read(ctx, Query{Follow: true, Stream: "s"}) {
					panic("!")
				}
			},
			"waited": func(ctx context.Context, cancel func()) {
				go func() { synctest.Wait(); cancel() }()
				if err := l.WaitFor(ctx, next); err == nil {
					t.Error("a position was reached that is not there")
				}
			},
		} {
			ctx, cancel := context.WithCancel(t.Context())
			use(ctx, cancel)
			synctest.Wait()
			l.mu.Lock()
			for _, ln := range l.lanes {
				if n := len(ln.followers); n > 0 {
					t.Errorf("%s: %d followers of shard %d stay", name, n, ln.shard)
				}
			}
			if l.watchers != 0 || l.stop != nil {
				t.Errorf("%s: %d watchers stay, a watch goes on: %t", name, l.watchers, l.stop != nil)
			}
			l.mu.Unlock()
			cancel()
		}
	})
}
