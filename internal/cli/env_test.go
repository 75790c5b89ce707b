package cli

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// daemon is a command whose flags are taken from the environment.
type daemon struct {
	sweep time.Duration
	read  int
	log   Logging
	ran   bool
	sub   string
	store Store
	below bool // the sub-command has variables
}

func (d *daemon) run(args ...string) (status int, stdout, stderr string) {
	root := &cobra.Command{Use: "tool", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error { d.ran = true; return nil }}
	root.Flags().DurationVar(&d.sweep, "sweep", time.Second, "how often")
	root.Flags().IntVar(&d.read, "read-ahead", 5, "how many")
	d.log.AddFlags(root)
	d.store.AddFlag(root)
	sub := &cobra.Command{Use: "sub", RunE: func(*cobra.Command, []string) error { d.ran = true; return nil }}
	sub.Flags().StringVar(&d.sub, "sub-flag", "x", "something")
	root.AddCommand(sub)
	Env(root)
	if d.below {
		Env(sub)
	}
	var out, err bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&err)
	return Run(context.Background(), root, args), out.String(), err.String()
}

func TestEnv(t *testing.T) {
	for name, c := range map[string]struct {
		env    map[string]string
		args   []string
		sweep  time.Duration
		read   int
		status int
		stderr string
	}{
		"nothing":          {nil, nil, time.Second, 5, OK, ""},
		"variables":        {map[string]string{"EVENTLOG_SWEEP": "3s", "EVENTLOG_READ_AHEAD": "7"}, nil, 3 * time.Second, 7, OK, ""},
		"the flag wins":    {map[string]string{"EVENTLOG_SWEEP": "3s"}, []string{"--sweep", "4s"}, 4 * time.Second, 5, OK, ""},
		"a flag of old":    {map[string]string{"EVENTLOG_SWEEP": "3s"}, []string{"--sweep", "1s"}, time.Second, 5, OK, ""},
		"empty is not set": {map[string]string{"EVENTLOG_SWEEP": ""}, nil, time.Second, 5, OK, ""},
		"malformed": {map[string]string{"EVENTLOG_SWEEP": "soon"}, nil, time.Second, 5, Misused,
			"tool: the variable EVENTLOG_SWEEP is \"soon\": time: invalid duration \"soon\"\nTry 'tool --help'.\n"},
		"malformed, and the flag wins": {map[string]string{"EVENTLOG_SWEEP": "soon"}, []string{"--sweep", "4s"}, 4 * time.Second, 5, OK, ""},
		"not a choice":                 {map[string]string{"EVENTLOG_LOG_LEVEL": "loud"}, nil, time.Second, 5, Misused, "EVENTLOG_LOG_LEVEL"},
		"two malformed": {map[string]string{"EVENTLOG_SWEEP": "soon", "EVENTLOG_READ_AHEAD": "many"}, nil, time.Second, 5, Misused,
			"EVENTLOG_READ_AHEAD"},
		"a long one":        {map[string]string{"EVENTLOG_READ_AHEAD": strings.Repeat("9\x1b", 1000)}, nil, time.Second, 5, Misused, "EVENTLOG_READ_AHEAD"},
		"of another one":    {map[string]string{"EVENTLOG_SUB_FLAG": "y"}, nil, time.Second, 5, OK, ""},
		"help has no value": {map[string]string{"EVENTLOG_HELP": "true"}, nil, time.Second, 5, OK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			d := new(daemon)
			status, _, stderr := d.run(c.args...)
			if status != c.status || d.ran != (status == OK) || !strings.Contains(stderr, c.stderr) || c.stderr == "" && stderr != "" {
				t.Errorf("status %d, ran %t, %q", status, d.ran, stderr)
			}
			if status == OK && (d.sweep != c.sweep || d.read != c.read) {
				t.Errorf("sweep %v, read-ahead %d", d.sweep, d.read)
			}
		})
	}
}

// A sub-command has variables if it wants them, with those that it inherits.
func TestEnvOfSubCommand(t *testing.T) {
	t.Setenv("EVENTLOG_SUB_FLAG", "y")
	t.Setenv("EVENTLOG_LOG", "dir")
	for below, want := range map[bool][2]string{true: {"y", "dir"}, false: {"x", ""}} {
		d := &daemon{below: below}
		if status, _, stderr := d.run("sub"); status != OK || d.sub != want[0] || d.store.log != want[1] {
			t.Errorf("%t: status %d, %q, flag %q, log %q", below, status, stderr, d.sub, d.store.log)
		}
	}
}

func TestEnvInHelp(t *testing.T) {
	t.Parallel()
	_, help, _ := new(daemon).run("--help")
	for _, want := range []string{"[EVENTLOG_SWEEP] (default 1s)", "[EVENTLOG_READ_AHEAD]", "[EVENTLOG_LOG_FORMAT]", "the variable EVENTLOG_LOG)"} {
		if strings.Count(help, want) != 1 {
			t.Errorf("%q is %d times in\n%s", want, strings.Count(help, want), help)
		}
	}
}
