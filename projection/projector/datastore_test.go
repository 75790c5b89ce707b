package projector

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"cloud.google.com/go/datastore"
	"google.golang.org/api/option"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/internal/dsfake"
	"github.com/rollforward/rollforward/internal/emulator"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/datastoresink"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

// A Posting counts how often an event took effect.
type Posting struct{ Times int }

// entities is what postings is in SQL.
var entities = datastoresink.Projection{Name: "postings", Version: 1, Reset: datastoresink.Empty,
	Handlers: datastoresink.Handlers{projection.On(func(tx *datastoresink.Tx, r eventlog.Record, _ Posted) error {
		key, p := datastore.NameKey("Posting", fmt.Sprint(r.Stream, " ", r.Version), nil), Posting{}
		if err := tx.Get(key, &p); err != nil && !errors.Is(err, datastore.ErrNoSuchEntity) {
			return err
		}
		p.Times++
		return tx.Put(key, &p)
	})},
}

// The commands do with a read model in Datastore what they do with one in SQLite.
func TestDatastore(t *testing.T) {
	t.Parallel()
	for leg, options := range map[string]func(t testing.TB) []option.ClientOption{
		"fake": func(t testing.TB) []option.ClientOption {
			s := dsfake.New(nil)
			t.Cleanup(func() { s.Close() })
			return s.ClientOptions()
		},
		"Datastore": func(t testing.TB) []option.ClientOption { return emulator.Options(emulator.DatastoreIndexed.Host(t)) },
		"Firestore": func(t testing.TB) []option.ClientOption { return emulator.Options(emulator.Firestore.Host(t)) },
	} {
		t.Run(leg, func(t *testing.T) {
			t.Parallel()
			dir, project, to := newDir(t, 50), emulator.Project(), options(t)
			dial := func(ctx context.Context) (*datastore.Client, string, error) {
				c, err := datastore.NewClient(ctx, project, to...)
				return c, "bank", err
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			run := func(ctx context.Context, stderr *listener, args ...string) (int, string) {
				var out bytes.Buffer
				cmd := newCommandAt(&site{store: cli.Store{Database: dial}, Options: Options{
					Projections: []sqlsink.Projection{postings(func() {})}, Datastore: []datastoresink.Projection{entities}}})
				cmd.SetOut(&out)
				cmd.SetErr(stderr)
				return cli.Run(ctx, cmd, append(args, "--log", dir)), out.String()
			}
			must := func(args ...string) string {
				t.Helper()
				stderr := listenFor("\x00")
				status, out := run(t.Context(), stderr, args...)
				if status != cli.OK {
					t.Fatalf("%v: status %d: %s", args, status, stderr)
				}
				return out
			}
			if got := must("status"); !strings.Contains(got, "(not built)") {
				t.Errorf("status before: %s", got)
			}
			stderr, ended := listenFor("up to date"), make(chan int, 1)
			go func() {
				status, _ := run(ctx, stderr)
				ended <- status
			}()
			select {
			case <-stderr.heard:
			case status := <-ended:
				t.Fatalf("status %d: %s", status, stderr)
			}
			if got := must("status"); !strings.Contains(got, "ok") || !strings.Contains(got, "postings") {
				t.Errorf("status beside the projector: %s", got)
			}
			stop()
			if status := <-ended; status != cli.OK {
				t.Errorf("status %d: %s", status, stderr)
			}
			var built rebuilt
			if err := json.Unmarshal([]byte(must("rebuild", "postings", "-o", "json")), &built); err != nil || built.Handled != 50 || built.Skipped != 50 {
				t.Errorf("rebuild: %+v, %v", built, err)
			}
			want := "PROJECTION VERSION HANDLED SKIPPED BEHIND LAG STATE postings 1 50 50 0 0s ok"
			if got := strings.Join(strings.Fields(must("status", "postings")), " "); got != want {
				t.Errorf("status %q, want %q", got, want)
			}
			wantPostings(t, dial, 50)
			file := filepath.Join(t.TempDir(), "named.db")
			must("rebuild", "postings", "--db", file)
			if got := rows(t, file); strings.Count(got, "\n") != 50 {
				t.Errorf("--db has %q", got)
			}
		})
	}
}

// wantPostings looks whether there are n rows, each of which took effect once, and no
// others.
func wantPostings(t *testing.T, dial func(ctx context.Context) (*datastore.Client, string, error), n int) {
	t.Helper()
	c, namespace, err := dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := datastoresink.New(c, &datastoresink.Options{Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	ns, err := s.Namespace(t.Context(), "postings")
	if err != nil {
		t.Fatal(err)
	}
	var list []Posting
	if _, err := c.GetAll(t.Context(), datastore.NewQuery("Posting").Namespace(ns), &list); err != nil {
		t.Fatal(err)
	}
	once := 0
	for _, p := range list {
		if p.Times == 1 {
			once++
		}
	}
	if once != n || len(list) != n {
		t.Errorf("%d rows, %d of them once, want %d", len(list), once, n)
	}
	if left, err := s.Clear(t.Context()); err != nil || left != 0 {
		t.Errorf("the rebuild left %d rows, %v", left, err)
	}
}
