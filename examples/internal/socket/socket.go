// Package socket is how a program that serves a data directory takes commands
// of its operator: HTTP on a Unix socket in the directory, which who may read
// the directory can reach.
package socket

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
)

// name of the socket in its directory.
const name = "control.sock"

// Serve is a service (server.Func) that answers commands with a handler. The
// directory must be this process's alone: a socket that is there is one that a
// killed process has left.
func Serve(h http.Handler, dir string) func(ctx context.Context, ready func()) error {
	return func(ctx context.Context, ready func()) error {
		path, done, err := pathIn(dir)
		if err != nil {
			return err
		}
		defer done()
		file := filepath.Join(dir, name)
		_ = os.Remove(file)
		l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
		if err != nil {
			return err
		}
		defer os.Remove(file)
		s := &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn)}
		stop := context.AfterFunc(ctx, func() { s.Close() })
		defer stop()
		ready()
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}
}

// Dial reaches the process that serves a data directory.
func Dial(dir string) http.RoundTripper {
	return &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		path, done, err := pathIn(dir)
		if err != nil {
			return nil, err
		}
		defer done()
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
}

// pathIn returns a path of the socket short enough for the 108 octets that the
// system allows, however long the data directory's is. done ends its use.
func pathIn(dir string) (path string, done func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), name), func() { d.Close() }, nil
}
