package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestLogging(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args         []string
		json         bool
		debug, infos bool
	}{
		"by default":  {nil, false, false, true},
		"all":         {[]string{"--log-level", "debug"}, false, true, true},
		"few":         {[]string{"--log-level", "error"}, false, false, false},
		"for machine": {[]string{"--log-format", "json"}, true, false, true},
	} {
		var g Logging
		var stderr bytes.Buffer
		root := &cobra.Command{Use: "tool", RunE: func(cmd *cobra.Command, _ []string) error {
			l := g.New(cmd.ErrOrStderr())
			l.Debug("a detail")
			l.Info("news", "n", 1)
			return g.Failed(l, "tool", Usage("broken\nin two"))
		}}
		root.SetErr(&stderr)
		g.AddFlags(root)
		if status := Run(t.Context(), root, c.args); status != Misused {
			t.Errorf("%s: status %d", name, status)
		}
		text := stderr.String()
		if strings.Contains(text, "a detail") != c.debug || strings.Contains(text, "news") != c.infos || strings.Count(text, "broken") != 1 {
			t.Errorf("%s: %s", name, text)
		}
		for line := range strings.Lines(text) {
			if c.json && !json.Valid([]byte(line)) {
				t.Errorf("%s: %q is not JSON", name, line)
			}
		}
		if strings.Contains(text, "\ntool: broken\nin two\nTry 'tool --help'") == c.json && c.infos {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestLoggingRefuses(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--log-format", "xml"}, {"--log-level", "INFO+3"}} {
		var g Logging
		var stderr bytes.Buffer
		root := &cobra.Command{Use: "tool", RunE: func(*cobra.Command, []string) error { return errors.New("it runs") }}
		root.SetErr(&stderr)
		g.AddFlags(root)
		if status := Run(t.Context(), root, args); status != Misused || !strings.Contains(stderr.String(), "want one of ") {
			t.Errorf("%v: status %d, %s", args, status, &stderr)
		}
	}
	if g := new(Logging); g.Failed(nil, "tool", nil) != nil {
		t.Error("nothing failed")
	}
}
