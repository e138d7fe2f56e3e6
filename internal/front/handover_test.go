package front

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/wire"
)

// serveOne runs a handler for one connection and returns the client's end.
func serveOne(t *testing.T, p *Pool, handle Handler) net.Conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = p.Serve(context.Background(), l, wire.Timeouts{}, handle)
	}()
	nc, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	require.NoError(t, nc.SetDeadline(time.Now().Add(time.Minute)))
	t.Cleanup(func() {
		nc.Close()
		p.Close()
		<-served
	})
	return nc
}

func TestASessionThatWasHandedOverOutlivesItsHandler(t *testing.T) {
	var p Pool
	ends := make(chan func(), 1)
	contexts := make(chan context.Context, 1)
	nc := serveOne(t, &p, func(ctx context.Context, c *wire.Conn) {
		contexts <- ctx
		c.HandOver(func(end func()) { ends <- end })
	})
	end, ctx := <-ends, <-contexts
	require.NoError(t, ctx.Err())
	require.Equal(t, 1, p.Len())

	stopped := make(chan error, 1)
	go func() { stopped <- p.Shutdown(context.Background()) }()
	end()
	end()
	require.NoError(t, <-stopped)
	require.Error(t, ctx.Err())
	require.Zero(t, p.Len())
	_, err := nc.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

func TestASessionThatPanicsIsNotHandedOver(t *testing.T) {
	for name, handle := range map[string]Handler{
		"in its handler": func(_ context.Context, c *wire.Conn) {
			c.HandOver(func(func()) { t.Error("it was handed over") })
			panic("handler")
		},
		"when it is handed over": func(_ context.Context, c *wire.Conn) {
			c.HandOver(func(func()) { panic("next") })
		},
	} {
		t.Run(name, func(t *testing.T) {
			var p Pool
			nc := serveOne(t, &p, handle)
			_, err := nc.Read(make([]byte, 1))
			require.ErrorIs(t, err, io.EOF)
			require.NoError(t, p.Shutdown(context.Background()))
			require.Zero(t, p.Len())
		})
	}
}
