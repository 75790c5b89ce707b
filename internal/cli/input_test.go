package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestInput: all of it, up to its end or its error; and a Read that waits ends with
// the context.
func TestInput(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := &cobra.Command{}
	cmd.SetContext(ctx)
	long := strings.Repeat("0123456789", 20_000)
	cmd.SetIn(strings.NewReader(long))
	if got, err := io.ReadAll(Input(cmd)); err != nil || string(got) != long {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	broken := errors.New("broken")
	cmd.SetIn(io.MultiReader(bytes.NewReader([]byte("a")), errorReader{broken}))
	if got, err := io.ReadAll(Input(cmd)); !errors.Is(err, broken) || string(got) != "a" {
		t.Errorf("%q, %v", got, err)
	}
	silent, w := io.Pipe()
	defer w.Close()
	cmd.SetIn(silent)
	in := Input(cmd)
	ended := make(chan error)
	go func() {
		_, err := in.Read(make([]byte, 1))
		ended <- err
	}()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("a Read that waited: %v", err)
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }
