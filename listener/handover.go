package listener

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

const readyText = "ready\n"

// ErrNotReady: the successor ended, or was ended, before it was ready.
var ErrNotReady = errors.New("successor is not ready")

// HandOver starts a command as the successor of this process: it inherits all
// sockets that are listened on, and both accept connections from the moment
// when the successor listens. HandOver returns when the successor has called
// Ready; then stop the own listeners (Listener.Stop, or the Shutdown of what
// serves them), let the sessions end, and exit. When it fails before that, or
// ctx ends, it is killed, the error is ErrNotReady, and nothing has changed for
// this process. The command must be new and have no ExtraFiles.
// errors.ErrUnsupported on systems other than Unix.
//
// Under systemd the successor must be told to it (MAINPID=, sd_notify(3)); or
// let systemd itself hold the sockets, in a socket unit, and restart the
// service.
func (s *Sockets) HandOver(ctx context.Context, cmd *exec.Cmd) error {
	if len(cmd.ExtraFiles) > 0 {
		return errors.New("the command has extra files already")
	}
	if err := canInherit(); err != nil {
		return err
	}
	files, err := s.files()
	defer closeAll(files)
	if err != nil {
		return err
	}
	said, say, err := os.Pipe()
	if err != nil {
		return err
	}
	defer said.Close()
	defer say.Close()
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = slices.DeleteFunc(slices.Clone(cmd.Env), aboutSockets)
	cmd.Env = append(cmd.Env, envSockets+"="+strconv.Itoa(len(files)), envReady+"="+strconv.Itoa(firstSocket+len(files)))
	cmd.ExtraFiles = append(slices.Clone(files), say)
	if err := cmd.Start(); err != nil {
		return err
	}
	say.Close() // the successor has its own
	if err := awaitReady(ctx, said); err != nil {
		_ = cmd.Process.Kill()
		return errors.Join(err, cmd.Wait())
	}
	return nil
}

func aboutSockets(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	return name == envSockets || name == envProcess || name == envNames || name == envReady
}

// awaitReady reads what the successor says.
func awaitReady(ctx context.Context, said *os.File) error {
	stop := context.AfterFunc(ctx, func() { said.Close() })
	defer stop()
	text := make([]byte, len(readyText))
	_, err := io.ReadFull(said, text)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", ErrNotReady, ctx.Err())
	case err != nil:
		return fmt.Errorf("%w: it has ended", ErrNotReady)
	case string(text) != readyText:
		return ErrNotReady
	}
	return nil
}

// files returns copies of the sockets that are listened on.
func (s *Sockets) files() ([]*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var files []*os.File
	for k := range s.open {
		f, err := copyOf(k.TCPListener)
		if err != nil {
			return files, err
		}
		files = append(files, f)
	}
	if len(files) > maxSockets {
		return files, fmt.Errorf("more than %d sockets", maxSockets)
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
