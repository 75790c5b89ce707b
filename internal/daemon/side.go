package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
)

// A side is the HTTP side of a daemon. nil does nothing.
type side struct {
	server   *http.Server
	listener net.Listener
	ended    chan error // what Serve returned
}

// serve opens the listener, if one is wanted. Connections wait until start.
func (f *Flags) serve(cmd *cobra.Command, d *Daemon) (*side, error) {
	addr := f.listen
	if addr == "" {
		return nil, nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(cmd.Context(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s (--listen, EVENTLOG_LISTEN): %w", addr, err)
	}
	d.Addr = l.Addr().String()
	d.Logger.Info(cmd.Root().Name()+": listening", "address", d.Addr)
	return &side{listener: l, ended: make(chan error, 1), server: &http.Server{
		Handler:           newHandler(d),
		ErrorLog:          slog.NewLogLogger(d.Logger.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}}, nil
}

// start serves. When that ends by itself, it calls lost, for a daemon that nobody
// can see is not one that goes on; the returned function says why.
func (s *side) start(lost func()) (why func() error) {
	if s == nil {
		return func() error { return nil }
	}
	go func() {
		defer lost()
		s.ended <- s.server.Serve(s.listener)
	}()
	return func() error {
		if err := <-s.ended; !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("listening on %s: %w", s.listener.Addr(), err)
		}
		return nil
	}
}

// stop finishes the requests in hand.
func (s *side) stop() {
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), sideGrace)
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		_ = s.server.Close() // whoever asks slowly is cut off
	}
}

// newHandler serves health and metrics. None of the paths is one that Cloud Run
// keeps for itself (/eventlog, and those that end in z).
func newHandler(d *Daemon) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health/live", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, health{Status: "live"})
	})
	mux.HandleFunc("GET /health/ready", func(w http.ResponseWriter, _ *http.Request) {
		reasons := d.reasons()
		if len(reasons) == 0 {
			answer(w, http.StatusOK, health{Status: "ready"})
			return
		}
		h := health{Status: "not ready"}
		for _, err := range reasons {
			h.Reasons = append(h.Reasons, err.Error())
		}
		answer(w, http.StatusServiceUnavailable, h)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(d.Metrics, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(d.Logger.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError, // one part that fails does not hide the others
		Registry:            d.Metrics,
		MaxRequestsInFlight: 4,
		Timeout:             10 * time.Second,
		EnableOpenMetrics:   true,
	}))
	return mux
}

// health is the answer to a probe.
type health struct {
	Status  string   `json:"status"`
	Reasons []string `json:"reasons,omitempty"`
}

func answer(w http.ResponseWriter, status int, h health) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(h) // whoever asked has gone
}
