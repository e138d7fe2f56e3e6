package front

import (
	"bufio"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/wire"
)

// echoing answers a line with itself, and rests before each.
func echoing(_ context.Context, c *wire.Conn) {
	var goOn func(ctx context.Context, arrived error)
	goOn = func(_ context.Context, arrived error) {
		if errors.Is(arrived, wire.ErrInterrupted) {
			_, _ = c.WriteString("bye\r\n")
			_ = c.Flush()
		}
		if arrived != nil {
			return
		}
		line, err := c.ReadLine(100)
		if string(line) == "panic\r\n" {
			panic("in a session that has rested")
		}
		if _, werr := c.Write(line); err == nil && werr == nil {
			c.Rest(goOn)
		}
	}
	c.Rest(goOn)
}

func TestASessionGoesOnAfterARest(t *testing.T) {
	var p Pool
	nc := serveOne(t, &p, echoing)
	in := bufio.NewReader(nc)
	for range 10 {
		_, err := io.WriteString(nc, "line\r\n")
		require.NoError(t, err)
		line, err := in.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "line\r\n", line)
	}
	require.Equal(t, 1, p.Len())
	require.NoError(t, p.Shutdown(context.Background()), "who rests is asked to go, too")
	line, err := in.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "bye\r\n", line)
	require.Zero(t, p.Len())
}

func TestAPanicAfterARestEndsItsSessionOnly(t *testing.T) {
	var p Pool
	nc := serveOne(t, &p, echoing)
	_, err := io.WriteString(nc, "panic\r\n")
	require.NoError(t, err)
	_, err = nc.Read(make([]byte, 1))
	require.Error(t, err)
	require.NoError(t, p.Shutdown(context.Background()))
	require.Zero(t, p.Len())
}
