package imap

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/testcert"
	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/memory"
)

// idling selects INBOX and enters IDLE.
func idling(t testing.TB, addr string) *client {
	t.Helper()
	c := login(t, addr)
	c.ok("SELECT INBOX")
	c.send("i IDLE\r\n")
	require.Equal(t, "+ idling", c.line())
	return c
}

func TestIdleTellsWhatOthersDo(t *testing.T) {
	s, addr := newServer(t, nil)
	deliver(t, s.Store, plainMessage)
	c := idling(t, addr)
	deliver(t, s.Store, plainMessage)
	require.Equal(t, "* 2 EXISTS", c.line())
	require.Equal(t, "* 2 RECENT", c.line())
	other := login(t, addr)
	other.ok("SELECT INBOX")
	other.ok(`STORE 1 +FLAGS (\Flagged)`)
	require.Equal(t, `* 1 FETCH (UID 1 FLAGS (\Flagged \Recent))`, c.line())
	other.ok(`STORE 2 +FLAGS (\Deleted)`)
	require.Equal(t, `* 2 FETCH (UID 2 FLAGS (\Deleted \Recent))`, c.line())
	other.ok("EXPUNGE")
	require.Equal(t, "* 2 EXPUNGE", c.line())
	c.send("DONE\r\n")
	untagged, answer := c.until("i")
	require.Empty(t, untagged)
	require.Equal(t, "OK IDLE completed", answer)
}

func TestIdleTellsAtOnceWhatHappenedBefore(t *testing.T) {
	s, addr := newServer(t, nil)
	c := login(t, addr)
	c.ok("SELECT INBOX")
	deliver(t, s.Store, plainMessage)
	c.send("i IDLE\r\n")
	require.Equal(t, "* 1 EXISTS", c.line())
	require.Equal(t, "* 1 RECENT", c.line())
	require.Equal(t, "+ idling", c.line())
}

func TestI21IdleThenSomethingElseThanDone(t *testing.T) {
	_, addr := newServer(t, nil)
	c := idling(t, addr)
	c.send("x NOOP\r\n")
	_, answer := c.until("i")
	require.Equal(t, "BAD Expected DONE", answer)
	c.ok("NOOP")
}

func TestI21DoneInTwoSegmentsAndSmallLetters(t *testing.T) {
	_, addr := newServer(t, nil)
	c := idling(t, addr)
	c.send("do")
	c.send("ne\r\n")
	_, answer := c.until("i")
	require.Equal(t, "OK IDLE completed", answer)
}

// TestI21IdleOutlivesTheIdleTimeout stands for 31 minutes in IDLE with
// timeouts made short.
func TestI21IdleOutlivesTheIdleTimeout(t *testing.T) {
	s, addr := newServer(t, func(s *Server) { s.Timeouts.Idle = 100 * time.Millisecond })
	c := idling(t, addr)
	waiting := login(t, addr)
	require.Contains(t, waiting.expectClosed(), "Idle for too long")
	deliver(t, s.Store, plainMessage)
	require.Equal(t, "* 1 EXISTS", c.line())
}

func TestIdleOverTLS(t *testing.T) {
	s, addr := newServer(t, func(s *Server) { s.PlainAuth = nil })
	c := dial(t, addr)
	c.ok("STARTTLS")
	c = &client{t: t, conn: tls.Client(c.conn, testcert.Client())}
	c.in = bufio.NewReader(c.conn)
	c.ok("LOGIN alice secret")
	c.ok("SELECT INBOX")
	c.send("i IDLE\r\n")
	require.Equal(t, "+ idling", c.line())
	for i := range 20 {
		deliver(t, s.Store, plainMessage)
		require.Equal(t, fmt.Sprintf("* %d EXISTS", i+1), c.line())
		require.Equal(t, fmt.Sprintf("* %d RECENT", i+1), c.line())
	}
	c.send("DONE\r\n")
	_, answer := c.until("i")
	require.Equal(t, "OK IDLE completed", answer)
}

// startled is a mailbox that panics once it is asked for news.
type startled struct{ storage.Mailbox }

func (startled) Status(context.Context) (storage.Status, error) { panic("startled") }

func TestPanicInAPushEndsItsSessionOnly(t *testing.T) {
	server, peer := net.Pipe()
	defer peer.Close()
	n := quietServer(memory.New()).gate().newSession(wire.New(server, wire.Timeouts{}))
	n.view, n.idle, n.idling = &view{box: startled{}}, true, true
	n.dirty.Store(true)
	n.push(t.Context())
	require.False(t, n.idle)
	_, err := peer.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

func TestIdleEndsWithByeWhenTheServerStops(t *testing.T) {
	s, addr := newServer(t, nil)
	c := idling(t, addr)
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(context.Background()) }()
	require.Contains(t, c.expectClosed(), "Server is shutting down")
	require.NoError(t, <-done)
}

func TestIdleEndsWhenTheMailboxIsDeleted(t *testing.T) {
	_, addr := newServer(t, nil)
	c := login(t, addr)
	c.ok("CREATE Gone")
	c.ok("SELECT Gone")
	c.send("i IDLE\r\n")
	require.Equal(t, "+ idling", c.line())
	login(t, addr).ok("DELETE Gone")
	require.Contains(t, c.expectClosed(), "mailbox was deleted")
}

// TestI20FiftySessionsAddFlags proves that flags of many sessions become
// their union and that each session is told of all.
func TestI20FiftySessionsAddFlags(t *testing.T) {
	s, addr := newServer(t, nil)
	deliver(t, s.Store, plainMessage)
	const sessions = 50
	watcher := idling(t, addr)
	var wg sync.WaitGroup
	for i := range sessions {
		c := login(t, addr)
		c.ok("SELECT INBOX")
		wg.Go(func() {
			c.send(fmt.Sprintf("x STORE 1 +FLAGS (flag%d)\r\n", i))
			_, answer := c.until("x")
			if answer != "OK STORE completed" {
				t.Error(answer)
			}
		})
	}
	wg.Wait()
	account, err := s.Store.Account(context.Background(), "alice")
	require.NoError(t, err)
	box, err := account.Mailbox(context.Background(), "INBOX")
	require.NoError(t, err)
	var flags storage.Flags
	for m, err := range box.Messages(context.Background(), 0) {
		require.NoError(t, err)
		flags = m.Flags
	}
	require.Len(t, flags.Keywords, sessions)
	told := map[imap.Flag]bool{}
	watcher.send("DONE\r\n")
	untagged, _ := watcher.until("i")
	for _, f := range flags.Keywords {
		require.Contains(t, untagged, " "+string(f))
		told[f] = true
	}
	require.Len(t, told, sessions)
}
