package remotelog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/rollforward/rollforward/internal/openly"
)

// The socket of a directory is SOCKET in it. Where the path is too long for one,
// or no socket can be made there, SOCKET is a symbolic link to a socket in a
// private directory among the temporary files.
const (
	socketName  = "SOCKET"
	privateName = "rollforward-" // and a random number
	privateSock = "log.sock"
	maxPath     = 103 // bytes of a socket's path that every system takes
)

// A socket is where others reach the owner of a directory.
type socket struct {
	listener *net.UnixListener
	name     string // in the directory
	private  string // the directory elsewhere, if there is one
}

// listen makes the socket of a directory that this process holds, in the place of
// one that an earlier owner left. Nobody else can use it before it is there.
func listen(dir string) (*socket, error) {
	s := &socket{name: filepath.Join(dir, socketName)}
	clean(s.name)
	draft := s.name + ".d"
	if err := os.RemoveAll(draft); err != nil {
		return nil, err
	}
	if err := os.Mkdir(draft, 0o700); err != nil {
		return nil, err
	}
	defer os.RemoveAll(draft) // the next owner does what this one cannot
	made := filepath.Join(draft, "s")
	err := s.bind(made)
	if err != nil {
		err = s.bindElsewhere(made, err)
	}
	if err == nil {
		err = os.Rename(made, s.name)
	}
	if err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

func (s *socket) bind(path string) error {
	if len(path) > maxPath {
		return fmt.Errorf("%s: %d bytes are too long for a socket", path, len(path))
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return err
	}
	l.SetUnlinkOnClose(false) // by then it has another name
	s.listener = l
	return os.Chmod(path, 0o600)
}

// bindElsewhere makes the socket among the temporary files, and a link to it.
func (s *socket) bindElsewhere(link string, cause error) (err error) {
	if s.listener != nil {
		return cause
	}
	if s.private, err = os.MkdirTemp("", privateName); err == nil {
		err = s.bind(filepath.Join(s.private, privateSock))
	}
	if err == nil {
		err = os.Symlink(filepath.Join(s.private, privateSock), link)
	}
	if err != nil {
		return fmt.Errorf("%w; nor elsewhere: %w", cause, err)
	}
	return nil
}

// remove takes the socket away. It is called while the directory is still held.
func (s *socket) remove() error {
	var err error
	if s.listener != nil {
		err = ignoreClosed(s.listener.Close())
	}
	err = errors.Join(err, ignoreMissing(os.Remove(s.name)))
	if s.private != "" {
		err = errors.Join(err, os.RemoveAll(s.private))
	}
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// clean removes what an owner that was killed left among the temporary files.
func clean(name string) {
	path, err := os.Readlink(name)
	private := filepath.Dir(path)
	if err != nil || filepath.Base(path) != privateSock || !strings.HasPrefix(filepath.Base(private), privateName) {
		return
	}
	_ = os.Remove(path) // what cannot be removed does no harm
	_ = os.Remove(private)
}

// dialSocket connects to the owner of a directory. Whoever else may have put a
// socket there is not trusted.
func dialSocket(ctx context.Context, dir string) (net.Conn, error) {
	path := filepath.Join(dir, socketName)
	if to, err := os.Readlink(path); err == nil {
		if err := checkPrivate(filepath.Dir(to), dir); err != nil {
			return nil, err
		}
		path = to
	}
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s is no socket", path)
	}
	if err := checkOwned(path, info, dir); err != nil {
		return nil, err
	}
	return new(net.Dialer).DialContext(ctx, "unix", path)
}

// checkPrivate checks the directory of a socket that is not in the log's.
func checkPrivate(private, dir string) error {
	info, err := os.Lstat(private)
	switch {
	case err != nil:
		return err
	case !info.IsDir() || info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%s is not a private directory", private)
	}
	return checkOwned(private, info, dir)
}

// checkShareable refuses a directory in which anybody could put a socket of his own.
func checkShareable(dir string) error {
	open, err := openly.Writable(dir)
	if open {
		err = fmt.Errorf("everybody may write in %s", dir)
	}
	return err
}
