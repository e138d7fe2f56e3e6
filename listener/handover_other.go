//go:build !unix

package listener

import (
	"errors"
	"fmt"
	"net"
	"os"
)

// canInherit says whether a process can hand sockets to another.
func canInherit() error {
	return fmt.Errorf("handing sockets over: %w", errors.ErrUnsupported)
}

func copyOf(*net.TCPListener) (*os.File, error) { return nil, canInherit() }

func closeOnExec(int) {}
