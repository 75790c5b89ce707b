package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"
)

// Input returns the command's standard input. A Read that waits, for a terminal or
// a slow pipe, ends with the command's context.
func Input(cmd *cobra.Command) io.Reader {
	in, out := io.Pipe()
	go func() {
		_, err := io.Copy(out, cmd.InOrStdin())
		out.CloseWithError(err)
	}()
	context.AfterFunc(cmd.Context(), func() { out.CloseWithError(context.Cause(cmd.Context())) })
	return in
}
