package projection

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// panicError is what a user's function panicked with.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// guard makes a panic of a user's function an error.
func guard(fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{v, debug.Stack()}
		}
	}()
	return fn()
}

// reason returns an error as attributes of a log line, with the stack of a panic.
func reason(err error) []any {
	var p *panicError
	if errors.As(err, &p) {
		return []any{"error", err, "stack", string(p.stack)}
	}
	return []any{"error", err}
}
