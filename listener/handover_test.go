//go:build unix

package listener

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/testcert"
)

// inheritedFrom makes Sockets of listeners, as if they had been inherited.
func inheritedFrom(listeners ...net.Listener) *Sockets {
	return &Sockets{inherited: listeners}
}

func bind(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	require.NoError(t, err)
	return l
}

func TestInheritedSocketsAreFoundByAddressAndTheOthersClosed(t *testing.T) {
	wanted, other := bind(t, "127.0.0.1:0"), bind(t, "127.0.0.1:0")
	s := inheritedFrom(other, wanted)
	l, err := Listen(t.Context(), Config{Address: wanted.Addr().String(), Sockets: s})
	require.NoError(t, err)
	defer l.Close()
	fresh, err := Listen(t.Context(), Config{Address: "127.0.0.1:0", Sockets: s})
	require.NoError(t, err)
	defer fresh.Close()
	require.NoError(t, s.Ready())
	_, err = net.Dial("tcp", other.Addr().String())
	require.Error(t, err)
	nc, err := net.Dial("tcp", wanted.Addr().String())
	require.NoError(t, err)
	defer nc.Close()
	served, err := l.Accept()
	require.NoError(t, err)
	served.Close()
	require.Len(t, s.open, 2)
	l.Close()
	require.Len(t, s.open, 1)
}

func TestAddressWithoutAHostIsAllAddresses(t *testing.T) {
	l := bind(t, ":0")
	s := inheritedFrom(l)
	got, err := Listen(t.Context(), Config{Address: ":" + strconv.Itoa(l.Addr().(*net.TCPAddr).Port), Sockets: s})
	require.NoError(t, err)
	defer got.Close()
	require.Equal(t, l.Addr(), got.Addr())
}

func TestEnvironmentOfAnotherProcessIsNotBelieved(t *testing.T) {
	t.Setenv(envSockets, "1")
	t.Setenv(envProcess, "1")
	s, err := Inherited()
	require.NoError(t, err)
	require.Empty(t, s.inherited)
	_, still := os.LookupEnv(envSockets)
	require.False(t, still)
	for _, bad := range []string{"x", "-1", "100000"} {
		t.Setenv(envSockets, bad)
		_, err := Inherited()
		require.Error(t, err)
	}
}

func TestASuccessorThatFailsChangesNothing(t *testing.T) {
	var s Sockets
	l, err := Listen(t.Context(), Config{Address: "127.0.0.1:0", Sockets: &s})
	require.NoError(t, err)
	defer l.Close()
	require.ErrorIs(t, s.HandOver(t.Context(), exec.Command("false")), ErrNotReady)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = s.HandOver(ctx, exec.Command("sleep", "1000"))
	require.ErrorIs(t, err, ErrNotReady)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Error(t, s.HandOver(t.Context(), exec.Command("/nowhere")))
	cmd := exec.Command("true")
	cmd.ExtraFiles = []*os.File{os.Stdin}
	require.Error(t, s.HandOver(t.Context(), cmd))
	nc, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer nc.Close()
	served, err := l.Accept()
	require.NoError(t, err)
	served.Close()
}

func TestStopHandsOutWhatHasComeAlready(t *testing.T) {
	config := testcert.Server()
	for name, c := range map[string]Config{"plain": {}, "TLS": {TLS: config}} {
		t.Run(name, func(t *testing.T) {
			c.Address = "127.0.0.1:0"
			l, err := Listen(t.Context(), c)
			require.NoError(t, err)
			defer l.Close()
			nc, err := net.Dial("tcp", l.Addr().String())
			require.NoError(t, err)
			defer nc.Close()
			require.Eventually(t, func() bool { return admitted(l) == 1 }, 30*time.Second, time.Millisecond)
			l.Stop()
			l.Stop()
			_, err = net.Dial("tcp", l.Addr().String())
			require.Error(t, err)
			client := nc
			if c.TLS != nil {
				client = tls.Client(nc, testcert.Client())
			}
			go func() { _, _ = io.WriteString(client, "x") }()
			served, err := l.Accept()
			require.NoError(t, err)
			defer served.Close()
			got := make([]byte, 1)
			_, err = io.ReadFull(served, got)
			require.NoError(t, err)
			_, err = l.Accept()
			require.ErrorIs(t, err, net.ErrClosed)
		})
	}
}

// admitted counts the connections that a listener has admitted.
func admitted(l *Listener) int {
	l.flows.mu.Lock()
	defer l.flows.mu.Unlock()
	if f := l.flows.byKey[nil]; f != nil {
		return f.all.New
	}
	return 0
}
