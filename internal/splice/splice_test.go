package splice

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/wire"
)

// volume is how many octets the long test moves each way.
func volume() int {
	if n, err := strconv.Atoi(os.Getenv("POSTHOUSE_RELAY")); err == nil {
		return n
	}
	return 64 << 20
}

func TestP29OctetsArriveBothWaysAsTheyWereSent(t *testing.T) {
	for _, clientBy := range transports {
		for _, serverBy := range transports {
			t.Run(clientBy+"-"+serverBy, func(t *testing.T) {
				total := 1 << 20
				switch {
				case testing.Short():
				case clientBy+serverBy == "tcptcp", clientBy+serverBy == "tlstcp":
					total = volume()
				case clientBy != "pipe" && serverBy != "pipe":
					total = 8 << 20
				}
				r := start(t, clientBy, serverBy, Timeouts{})
				r.converse(t)
				r.exchange(t, total)
				r.converse(t)
				r.server.Close()
				r.client.Close()
				require.NoError(t, r.ended(t))
			})
		}
	}
}

func TestP13WhatWasReadAheadAndWhatIsPendingComesFirst(t *testing.T) {
	for _, by := range transports {
		t.Run(by, func(t *testing.T) {
			r := &rig{done: make(chan error, 1)}
			r.client, r.nearClient = connect(t, by)
			r.server, r.nearServer = connect(t, by)
			go io.WriteString(r.client, "a1 LOGIN u p\r\na2 APPEND x {4+}\r\nab\r\n\r\na3 NOOP\r\n")
			go io.WriteString(r.server, "a1 OK in\r\n* OK more\r\n")
			for _, c := range []*wire.Conn{r.nearClient, r.nearServer} {
				line, err := c.ReadLine(100)
				require.NoError(t, err)
				require.Contains(t, string(line), "a1 ")
			}
			wrote := make(chan error, 1)
			go func() { // what the proxy has to say still, to each side
				_, err := r.nearClient.WriteString("a1 OK hello\r\n")
				_, err2 := r.nearServer.WriteString("p1 ID NIL\r\n")
				wrote <- errors.Join(err, err2)
			}()
			require.NoError(t, <-wrote)
			heard := make(chan struct{})
			go func() {
				hear(t, r.client, "a1 OK hello\r\n* OK more\r\n")
				close(heard)
			}()
			up := make(chan struct{})
			go func() {
				hear(t, r.server, "p1 ID NIL\r\na2 APPEND x {4+}\r\nab\r\n\r\na3 NOOP\r\n")
				close(up)
			}()
			r.run(t, Timeouts{})
			<-heard
			<-up
			r.converse(t)
		})
	}
}

func TestP34TheEndOfTheClientIsPassedOnAndTheServerFinishes(t *testing.T) {
	for _, by := range []string{"tcp", "tls", "unix"} {
		t.Run(by, func(t *testing.T) {
			r := start(t, by, by, Timeouts{})
			say(t, r.client, "QUIT\r\n")
			require.True(t, wire.New(r.client, wire.Timeouts{}).CloseWrite())
			got, err := io.ReadAll(r.server)
			require.NoError(t, err)
			require.Equal(t, "QUIT\r\n", string(got))
			require.NoError(t, sendBlocks(r.server, 100_000))
			require.NoError(t, expectBlocks(r.client, 100_000))
			r.server.Close()
			_, err = r.client.Read(make([]byte, 1))
			require.ErrorIs(t, err, io.EOF)
			require.NoError(t, r.ended(t))
			require.Equal(t, Client, r.by)
		})
	}
}

func TestP34TheEndOfTheServerIsPassedOnAndTheClientFinishes(t *testing.T) {
	for _, by := range []string{"tcp", "tls", "unix"} {
		t.Run(by, func(t *testing.T) {
			r := start(t, by, by, Timeouts{})
			say(t, r.server, "* BYE\r\n")
			require.True(t, wire.New(r.server, wire.Timeouts{}).CloseWrite())
			got, err := io.ReadAll(r.client)
			require.NoError(t, err)
			require.Equal(t, "* BYE\r\n", string(got))
			go func() {
				_ = sendBlocks(r.client, 100_000)
				r.client.Close()
			}()
			require.NoError(t, expectBlocks(r.server, 100_000))
			_, err = r.server.Read(make([]byte, 1))
			require.ErrorIs(t, err, io.EOF)
			require.NoError(t, r.ended(t))
			require.Equal(t, Server, r.by)
		})
	}
}

func TestP34AHalfThatNobodyFinishesEnds(t *testing.T) {
	for name, end := range map[string]func(*rig) net.Conn{
		"client": func(r *rig) net.Conn { return r.client },
		"server": func(r *rig) net.Conn { return r.server },
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, "tcp", "tcp", Timeouts{Stuck: 200 * time.Millisecond})
			r.converse(t)
			require.NoError(t, end(r).(*net.TCPConn).CloseWrite())
			require.ErrorIs(t, r.ended(t), ErrIdle)
		})
	}
}

func TestP34WithoutHalvesTheEndOfOneIsTheEndOfBoth(t *testing.T) {
	r := start(t, "pipe", "pipe", Timeouts{})
	r.converse(t)
	r.server.Close()
	_, err := r.client.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, r.ended(t))
}

func TestP34AResetIsPassedOn(t *testing.T) {
	for _, by := range []string{"tcp", "tls"} {
		for _, from := range []string{"client", "server"} {
			t.Run(by+" from the "+from, func(t *testing.T) {
				r := start(t, by, by, Timeouts{})
				r.converse(t)
				breaks, sees := r.client, r.server
				if from == "server" {
					breaks, sees = sees, breaks
				}
				require.NoError(t, wire.New(breaks, wire.Timeouts{}).Reset())
				_, err := sees.Read(make([]byte, 1))
				require.True(t, isBroken(err) || by == "tls" && errors.Is(err, io.EOF), "%v", err)
				sees.Close() // a TLS layer may have told it of an end in order
				ended := r.ended(t)
				require.True(t, isBroken(ended) || by == "tls", "%v", ended)
				require.Equal(t, map[string]Party{"client": Client, "server": Server}[from], r.by)
			})
		}
	}
}

func TestP34WhatAServerSaidBeforeItBrokeOffIsDelivered(t *testing.T) {
	r := start(t, "tcp", "tcp", Timeouts{})
	r.converse(t)
	require.NoError(t, sendBlocks(r.server, 10_000))
	require.NoError(t, expectBlocks(r.client, 10_000))
	require.NoError(t, r.server.(*net.TCPConn).SetLinger(0))
	r.server.Close()
	_, err := io.ReadAll(r.client)
	require.True(t, isBroken(err), "%v", err)
}

var errKicked = errors.New("kicked")

func TestX11AKickEndsAPairAtOnce(t *testing.T) {
	for _, by := range transports {
		t.Run(by, func(t *testing.T) {
			r := start(t, by, by, Timeouts{})
			r.converse(t)
			r.kick(errKicked)
			require.ErrorIs(t, r.ended(t), errKicked)
			require.Equal(t, Nobody, r.by)
			for _, nc := range []net.Conn{r.client, r.server} {
				_, err := nc.Read(make([]byte, 1))
				require.Error(t, err)
			}
		})
	}
}

func TestX11AKickEndsAPairWhoseClientReadsNothing(t *testing.T) {
	for _, by := range transports {
		t.Run(by, func(t *testing.T) {
			r := start(t, by, by, Timeouts{})
			r.converse(t)
			sent := make(chan error, 1)
			go func() { sent <- sendBlocks(r.server, 64<<20) }()
			r.waitUntilStuck(t)
			r.kick(errKicked)
			require.ErrorIs(t, r.ended(t), errKicked)
			require.Error(t, <-sent)
		})
	}
}

// waitUntilStuck waits until the server's octets fill all there is between it
// and the client.
func (r *rig) waitUntilStuck(t testing.TB) {
	t.Helper()
	before := int64(-1)
	eventually(t, "a stop", func() bool {
		time.Sleep(200 * time.Millisecond)
		now := lastMoves()
		stuck := buffers.lent.Load()+int64(lentPipes()) > 0 && now == before
		before = now
		return stuck
	})
}

// lastMoves changes whenever something moves in any pair.
func lastMoves() (sum int64) {
	watched.mu.Lock()
	defer watched.mu.Unlock()
	for _, p := range watched.pairs {
		sum += p.moved.Load()
	}
	return sum
}

func TestAReaderThatAcceptsNothingIsStuck(t *testing.T) {
	for _, by := range transports {
		t.Run(by, func(t *testing.T) {
			r := start(t, by, by, Timeouts{Stuck: 300 * time.Millisecond, Idle: 50 * time.Millisecond})
			go sendBlocks(r.server, 64<<20)
			require.ErrorIs(t, r.ended(t), ErrStuck)
		})
	}
}

func TestP30APairEndsOnlyWhenNothingHappensOnEitherSide(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"tcp", "tls", "pipe"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			r := start(t, by, by, Timeouts{Idle: 2 * time.Second})
			for begin := time.Now(); time.Since(begin) < 3*time.Second; time.Sleep(200 * time.Millisecond) {
				say(t, r.server, "* OK Still here\r\n") // the client says nothing all the while
				hear(t, r.client, "* OK Still here\r\n")
			}
			require.ErrorIs(t, r.ended(t), ErrIdle)
		})
	}
}

func TestX16AnIdlePairEndsWhenTheServerStops(t *testing.T) {
	t.Parallel()
	for _, by := range transports {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			r := start(t, by, by, Timeouts{})
			r.converse(t)
			r.nearClient.Interrupt()
			require.ErrorIs(t, r.ended(t), wire.ErrInterrupted)
		})
	}
}

func TestX16AnAnswerThatIsDueStillComesWhenTheServerStops(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"tcp", "tls"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			r := start(t, by, by, Timeouts{})
			say(t, r.client, "a1 SEARCH TEXT x\r\n")
			hear(t, r.server, "a1 SEARCH TEXT x\r\n")
			r.nearClient.Interrupt()
			time.Sleep(drained + 500*time.Millisecond) // longer than an idle pair would live
			say(t, r.server, "a1 OK found\r\n")
			hear(t, r.client, "a1 OK found\r\n")
			require.ErrorIs(t, r.ended(t), wire.ErrInterrupted)
		})
	}
}

func TestX16ATransferGoesOnWhenTheServerStops(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"tcp", "tls"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			r := start(t, by, by, Timeouts{})
			r.nearClient.Interrupt()
			sent := make(chan error, 1)
			go func() { sent <- sendBlocks(r.server, 16<<20) }()
			r.waitUntilStuck(t)
			time.Sleep(drained + 500*time.Millisecond) // a client may be slow
			require.NoError(t, expectBlocks(r.client, 16<<20))
			require.NoError(t, <-sent)
			require.ErrorIs(t, r.ended(t), wire.ErrInterrupted)
		})
	}
}

// panics is a connection whose code is broken.
type panics struct{ net.Conn }

func (panics) Read([]byte) (int, error) { panic("broken connection") }

func TestAPanicEndsThePairAndNothingElse(t *testing.T) {
	far, near := net.Pipe()
	defer far.Close()
	r := &rig{done: make(chan error, 1), server: far}
	r.client, r.nearClient = connect(t, "tcp")
	r.nearServer = wire.New(panics{near}, wire.Timeouts{})
	r.run(t, Timeouts{})
	require.ErrorIs(t, r.ended(t), errPanicked)
	_, err := r.client.Read(make([]byte, 1))
	require.Error(t, err)
}

func TestNothingStartsOnCompressedConnections(t *testing.T) {
	_, client := connect(t, "tcp")
	_, server := connect(t, "tcp")
	require.NoError(t, client.Compress())
	err := Start(context.Background(), client, server, Timeouts{}, func(Party, error) { t.Error("it has ended") })
	require.ErrorIs(t, err, wire.ErrCompressed)
}
