package wire

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/testcert"
)

// tcpPair returns the two ends of a loopback connection, the first wrapped.
func tcpPair(t *testing.T, timeouts Timeouts) (*Conn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	server, err := l.Accept()
	require.NoError(t, err)
	c := New(server, timeouts)
	t.Cleanup(func() { c.Close(); c.Release(); client.Close() })
	return c, client
}

func send(t *testing.T, nc net.Conn, s string) {
	t.Helper()
	_, err := io.WriteString(nc, s)
	require.NoError(t, err)
}

func TestReadLineReturnsEachLineWithItsEnding(t *testing.T) {
	c, client := tcpPair(t, Timeouts{})
	send(t, client, "one\r\ntwo\nthree\r\n")
	for _, want := range []string{"one\r\n", "two\n", "three\r\n"} {
		line, err := c.ReadLine(100)
		require.NoError(t, err)
		require.Equal(t, want, string(line))
	}
}

func TestReadLineBeyondTheBuffer(t *testing.T) {
	c, client := tcpPair(t, Timeouts{})
	long := strings.Repeat("x", 3*bufferSize)
	go io.WriteString(client, long+"\r\nnext\r\n")
	line, err := c.ReadLine(4 * bufferSize)
	require.NoError(t, err)
	require.Equal(t, long+"\r\n", string(line))
	line, err = c.ReadLine(10)
	require.NoError(t, err)
	require.Equal(t, "next\r\n", string(line))
}

func TestReadLineTooLong(t *testing.T) {
	c, client := tcpPair(t, Timeouts{})
	send(t, client, "0123456789\r\n")
	_, err := c.ReadLine(8)
	require.ErrorIs(t, err, ErrLineTooLong)
}

func TestReadLineCutOffByTheEnd(t *testing.T) {
	c, client := tcpPair(t, Timeouts{})
	send(t, client, "half")
	client.Close()
	_, err := c.ReadLine(100)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	_, err = c.ReadLine(100)
	require.ErrorIs(t, err, io.EOF)
}

func TestLineThatNeverEndsTimesOut(t *testing.T) {
	c, client := tcpPair(t, Timeouts{Line: 50 * time.Millisecond})
	send(t, client, "slow")
	_, err := c.ReadLine(100)
	var ne net.Error
	require.ErrorAs(t, err, &ne)
	require.True(t, ne.Timeout())
}

func TestWaitingHoldsNoBuffer(t *testing.T) {
	c, client := tcpPair(t, Timeouts{})
	send(t, client, "a\r\n")
	_, err := c.ReadLine(10)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { _, err := c.ReadLine(10); done <- err }()
	c.Interrupt()
	require.ErrorIs(t, <-done, ErrInterrupted)
	require.Nil(t, c.in)
	require.Nil(t, c.out)
}

func TestAwaitHoldsNoBufferAndIsInterrupted(t *testing.T) {
	c, client := tcpPair(t, Timeouts{})
	send(t, client, "a\r\n")
	require.NoError(t, c.Await())
	require.NoError(t, c.Await(), "what has arrived is enough")
	line, err := c.ReadLine(10)
	require.NoError(t, err)
	require.Equal(t, "a\r\n", string(line))
	done := make(chan error, 1)
	go func() { done <- c.Await() }()
	c.Interrupt()
	require.ErrorIs(t, <-done, ErrInterrupted)
	require.Nil(t, c.in)
}

func TestOutputIsFlushedBeforeAWaitOnly(t *testing.T) {
	c, client := tcpPair(t, Timeouts{})
	send(t, client, "one\r\ntwo\r\n")
	_, err := c.ReadLine(10)
	require.NoError(t, err)
	_, _ = c.WriteString("answer one\r\n")
	_, err = c.ReadLine(10)
	require.NoError(t, err)
	require.NotZero(t, c.n, "the second line was there: no flush")
	_, _ = c.WriteString("answer two\r\n")
	done := make(chan error, 1)
	go func() { _, err := c.ReadLine(10); done <- err }()
	got := make([]byte, 24)
	_, err = io.ReadFull(client, got)
	require.NoError(t, err)
	client.Close()
	require.ErrorIs(t, <-done, io.EOF)
	require.Equal(t, "answer one\r\nanswer two\r\n", string(got))
}

func TestWriteFromCopiesABody(t *testing.T) {
	c, client := tcpPair(t, Timeouts{})
	body := strings.Repeat("0123456789", 10_000)
	go func() {
		_ = c.WriteFrom(strings.NewReader(body), 5, int64(len(body)-5))
		_ = c.Flush()
		c.Close()
	}()
	got, err := io.ReadAll(client)
	require.NoError(t, err)
	require.Equal(t, body[5:], string(got))
}

func TestStartTLSRefusesEarlyInput(t *testing.T) {
	c, client := tcpPair(t, Timeouts{})
	send(t, client, "STARTTLS\r\nEVIL\r\n")
	_, err := c.ReadLine(100)
	require.NoError(t, err)
	require.ErrorIs(t, c.StartTLS(context.Background(), testcert.Server()), ErrEarlyInput)
}

func TestStartTLSThenManyRecordsAtOnce(t *testing.T) {
	c, client := tcpPair(t, Timeouts{})
	tc := tls.Client(client, testcert.Client())
	go func() {
		for range 1000 { // each Write is a record of its own
			io.WriteString(tc, "line\r\n")
		}
		tc.Close()
	}()
	require.NoError(t, c.StartTLS(context.Background(), testcert.Server()))
	require.NotNil(t, c.TLS())
	for range 1000 {
		line, err := c.ReadLine(100)
		require.NoError(t, err)
		require.Equal(t, "line\r\n", string(line))
	}
	_, err := c.ReadLine(100)
	require.ErrorIs(t, err, io.EOF)
}

func TestSlowTransferMissesItsDeadline(t *testing.T) {
	c, _ := tcpPair(t, Timeouts{})
	c.BeginTransfer(500)
	c.transfer.started = time.Now().Add(-transferGrace)
	_, err := c.Window()
	var ne net.Error
	require.ErrorAs(t, err, &ne)
	require.True(t, ne.Timeout())
}

func TestPipeWithoutADescriptor(t *testing.T) {
	server, client := net.Pipe()
	c := New(server, Timeouts{})
	defer c.Close()
	go io.WriteString(client, "hello\r\n")
	line, err := c.ReadLine(100)
	require.NoError(t, err)
	require.Equal(t, "hello\r\n", string(line))
}

func TestHandshakeOfASilentClientEnds(t *testing.T) {
	server, client := net.Pipe()
	defer client.Close()
	c := New(tls.Server(server, testcert.Server()), Timeouts{Handshake: 20 * time.Millisecond})
	defer c.Close()
	require.Error(t, c.Handshake(context.Background()))
}

func TestHandshakeOfAnAcceptedTLSConnection(t *testing.T) {
	server, client := net.Pipe()
	c := New(tls.Server(server, testcert.Server()), Timeouts{})
	defer c.Close()
	go func() {
		tc := tls.Client(client, testcert.Client())
		io.WriteString(tc, "hello\r\n")
	}()
	require.NoError(t, c.Handshake(context.Background()))
	require.True(t, c.TLS().HandshakeComplete)
	line, err := c.ReadLine(100)
	require.NoError(t, err)
	require.Equal(t, "hello\r\n", string(line))
}

func TestLingerLetsTheLastReplyArrive(t *testing.T) {
	c, client := tcpPair(t, Timeouts{})
	send(t, client, strings.Repeat("unread\r\n", 10_000))
	_, _ = c.WriteString("BYE\r\n")
	done := make(chan struct{})
	go func() { c.Linger(10*time.Second, 1<<20); c.Close(); close(done) }()
	got, err := io.ReadAll(client)
	require.NoError(t, err)
	require.Equal(t, "BYE\r\n", string(got))
	client.Close()
	<-done
}
