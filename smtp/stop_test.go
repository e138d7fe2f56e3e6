package smtp

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestShutdownEndsIdleSessionsAndWaitsForMessages(t *testing.T) {
	b := &box{}
	s := newServer(b)
	address := start(t, s)
	idle, busy := hello(t, dial(t, address)), hello(t, dial(t, address))
	busy.ask("MAIL FROM:<a@d.test>\r\n", "250")
	busy.ask("RCPT TO:<b@d.test>\r\n", "250")
	busy.ask("DATA\r\n", "354")
	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(context.Background()) }()
	idle.ask("", "421 4.3.2 Going down")
	idle.closed()
	select {
	case err := <-stopped:
		t.Fatalf("Shutdown did not wait: %v", err)
	default:
	}
	busy.ask("x\r\n.\r\n", "250 2.0.0 Accepted")
	busy.ask("", "421 4.3.2 Going down")
	require.NoError(t, <-stopped)
	require.Equal(t, "x\r\n", b.only(t).text)
}

func TestCloseCutsWhatShutdownWaitedForInVain(t *testing.T) {
	s := newServer(&box{})
	c := connect(t, s)
	c.ask("MAIL FROM:<a@d.test>\r\n", "250")
	c.ask("RCPT TO:<b@d.test>\r\n", "250")
	c.ask("DATA\r\n", "354")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.Shutdown(ctx), context.DeadlineExceeded)
	require.NoError(t, s.Close())
	_, err := io.ReadAll(c.in)
	_ = err // end of input or a reset
	require.NoError(t, s.Shutdown(context.Background()))
}

func TestCloseEndsTheContextOfHooks(t *testing.T) {
	asked := make(chan struct{})
	s := newServer(&box{})
	s.Hooks = []Hooks{{Connect: func(ctx context.Context, _ *Session) error {
		close(asked)
		<-ctx.Done()
		return ctx.Err()
	}}}
	dial(t, start(t, s))
	<-asked
	require.NoError(t, s.Close())
	require.NoError(t, s.Shutdown(context.Background()))
}

func TestGreetingIsOneLineOfTheOperatorsChoice(t *testing.T) {
	s := newServer(&box{})
	s.Greeting = "ESMTP mail\r\n220 here"
	say(t, s, "S: 220 mx.example.test ESMTP mail??220 here\n"+goesOn)
}

func TestCloseDuringAHandshake(t *testing.T) {
	s := newServer(&box{})
	c := connect(t, s)
	c.ask("STARTTLS\r\n", "220")
	require.NoError(t, s.Close())
	require.NoError(t, s.Shutdown(context.Background()))
}
