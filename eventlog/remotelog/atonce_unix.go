//go:build unix

package remotelog

import (
	"errors"
	"net"
	"syscall"
)

// sendsAtOnce returns a function that sends what conn takes without waiting, nil when
// there is none for it.
func sendsAtOnce(conn net.Conn) func(b []byte) (n int, err error) {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	return func(b []byte) (n int, err error) {
		failed := raw.Write(func(fd uintptr) bool {
			n, err = syscall.Write(int(fd), b)
			return true
		})
		if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR) {
			err = nil
		}
		return max(n, 0), errors.Join(failed, err)
	}
}
