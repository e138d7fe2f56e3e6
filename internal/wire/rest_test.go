package wire

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/testcert"
)

// layered returns both ends of a connection with the layers that a name says;
// say writes a line at the client's, which may be one record of many.
func layered(t *testing.T, layers string, timeouts Timeouts) (c *Conn, client net.Conn, say func(string)) {
	t.Helper()
	c, client = tcpPair(t, timeouts)
	if layers == "tls" || layers == "tls and deflate" {
		done := make(chan error, 1)
		go func() { done <- c.StartTLS(t.Context(), testcert.Server()) }()
		layer := tls.Client(client, testcert.Client())
		require.NoError(t, layer.HandshakeContext(t.Context()))
		require.NoError(t, <-done)
		client = layer
	}
	say = func(s string) { send(t, client, s) }
	if layers == "deflate" || layers == "tls and deflate" {
		require.NoError(t, c.Compress())
		say = newPeer(t, client).send
	}
	return c, client, say
}

// rested lets a connection rest, and returns what then arrives.
func rested(c *Conn) (string, error) {
	c.Rest(func(context.Context, error) {})
	if err := c.Doze(); err != nil {
		return "", err
	}
	if err := c.Await(); err != nil {
		return "", err
	}
	line, err := c.ReadLine(100)
	return string(line), err
}

func TestARestingConnectionMissesNothing(t *testing.T) {
	for _, layers := range []string{"plain", "tls", "deflate", "tls and deflate"} {
		t.Run(layers, func(t *testing.T) {
			c, client, say := layered(t, layers, Timeouts{})
			for range 20 { // several are there at once, and in one read of a descriptor
				say("line\r\n")
			}
			for range 20 {
				line, err := rested(c)
				require.NoError(t, err)
				require.Equal(t, "line\r\n", line)
			}
			late := make(chan string, 1)
			go func() {
				line, _ := rested(c)
				late <- line
			}()
			say("late\r\n")
			require.Equal(t, "late\r\n", <-late)
			client.Close()
			_, err := rested(c)
			require.ErrorIs(t, err, io.EOF)
		})
	}
}

func TestARestingConnectionHoldsNoBuffer(t *testing.T) {
	for _, layers := range []string{"plain", "tls", "deflate", "tls and deflate"} {
		t.Run(layers, func(t *testing.T) {
			c, _, say := layered(t, layers, Timeouts{})
			say("line\r\n")
			_, err := rested(c)
			require.NoError(t, err)
			_, err = c.WriteString("pending\r\n")
			require.NoError(t, err)
			c.Rest(func(context.Context, error) {})
			require.Nil(t, c.in)
			require.Nil(t, c.out)
			if c.zip != nil {
				require.Nil(t, c.zip.in)
				require.Nil(t, c.zip.out)
			}
		})
	}
}

func TestARestIsInterruptedAndTimesOut(t *testing.T) {
	c, _, _ := layered(t, "tls", Timeouts{Idle: time.Minute})
	done := make(chan error, 1)
	go func() {
		_, err := rested(c)
		done <- err
	}()
	c.Interrupt()
	require.ErrorIs(t, <-done, ErrInterrupted)

	c, _, _ = layered(t, "tls", Timeouts{Idle: time.Millisecond})
	_, err := rested(c)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

func TestARestWithoutADescriptorWaits(t *testing.T) {
	server, client := net.Pipe()
	defer client.Close()
	c := New(server, Timeouts{})
	defer c.Close()
	go func() { _, _ = io.WriteString(client, "line\r\n") }()
	line, err := rested(c)
	require.NoError(t, err)
	require.Equal(t, "line\r\n", line)
}
