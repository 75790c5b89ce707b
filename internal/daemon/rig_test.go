package daemon

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"
	"go.uber.org/goleak"

	"github.com/rollforward/rollforward/internal/cli"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A stream is a command's error stream.
type stream struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *stream) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// command runs a command line of a daemon that does this work.
func command(ctx context.Context, stderr io.Writer, work func(ctx context.Context, d *Daemon) error, args ...string) (status int) {
	var f Flags
	cmd := &cobra.Command{Use: "worker", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return f.Run(cmd, work) }}
	f.AddFlags(cmd)
	cli.Env(cmd)
	cmd.SetErr(stderr)
	return cli.Run(ctx, cmd, args)
}

// A running is a daemon that works.
type running struct {
	*Daemon
	stderr stream
	stop   func()   // tells it to end
	finish func()   // lets its work end
	status chan int // of the command
	t      *testing.T
}

// start starts a daemon on a free port. Its work ends when finish is called.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	leave, once := make(chan struct{}), sync.Once{}
	r := &running{t: t, stop: stop, finish: func() { once.Do(func() { close(leave) }) }, status: make(chan int, 1)}
	begun := make(chan *Daemon, 1)
	go func() {
		r.status <- command(ctx, &r.stderr, func(ctx context.Context, d *Daemon) error {
			begun <- d
			<-leave
			return nil
		}, append([]string{"--listen", "127.0.0.1:0"}, args...)...)
	}()
	select {
	case r.Daemon = <-begun:
	case status := <-r.status:
		t.Fatalf("status %d: %s", status, &r.stderr)
	}
	t.Cleanup(func() {
		r.finish()
		stop()
	})
	return r
}

// end ends it and expects success.
func (r *running) end() {
	r.t.Helper()
	r.finish()
	if status := <-r.status; status != cli.OK {
		r.t.Errorf("status %d: %s", status, &r.stderr)
	}
}

var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// ask sends a request and returns the answer.
func (r *running) ask(method, path string, header ...string) (*http.Response, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://"+r.Addr+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res, strings.TrimSpace(string(body))
}

// expect expects an answer to GET.
func (r *running) expect(path string, status int, body string) {
	r.t.Helper()
	if res, got := r.ask("GET", path); res.StatusCode != status || got != body {
		r.t.Errorf("%s: %d %s, want %d %s", path, res.StatusCode, got, status, body)
	}
}
