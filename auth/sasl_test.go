package auth

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func aliceExchange(t *testing.T, name string) *Exchange {
	t.Helper()
	e, err := NewExchange(context.Background(), name, alice, Policy{}, Credentials{Service: "test", Secure: true})
	require.NoError(t, err)
	return e
}

func TestMechanismsAreThoseOfNewExchange(t *testing.T) {
	for _, c := range []Credentials{{Secure: true}, {Clear: true}, {}} {
		names := Mechanisms(alice, Policy{}, c)
		if c.Secure || c.Clear {
			require.Equal(t, []string{"PLAIN", "LOGIN"}, names)
		} else {
			require.Empty(t, names)
		}
		for _, name := range names {
			_, err := NewExchange(context.Background(), strings.ToLower(name), alice, Policy{}, c)
			require.NoError(t, err)
		}
	}
	require.Empty(t, Mechanisms(nil, Policy{}, Credentials{Secure: true}))
	_, err := NewExchange(context.Background(), "SCRAM-SHA-256", alice, Policy{}, Credentials{Secure: true})
	require.ErrorIs(t, err, ErrMechanism, "alice has no secret for it")
	_, err = NewExchange(context.Background(), "PLAIN", alice, Policy{}, Credentials{})
	require.ErrorIs(t, err, ErrNeedsTLS)
}

func TestAPolicyNamesMechanismsForSecureAndPlainConnections(t *testing.T) {
	p := Policy{Secure: []string{"login"}, Plain: []string{}}
	require.Equal(t, []string{"LOGIN"}, Mechanisms(alice, p, Credentials{Secure: true}))
	require.Empty(t, Mechanisms(alice, p, Credentials{Clear: true}))
	_, err := NewExchange(context.Background(), "PLAIN", alice, p, Credentials{Secure: true})
	require.ErrorIs(t, err, ErrMechanism)
	_, err = NewExchange(context.Background(), "LOGIN", alice, p, Credentials{Clear: true})
	require.ErrorIs(t, err, ErrNeedsTLS)
}

func TestPlainWithAnInitialResponse(t *testing.T) {
	e := aliceExchange(t, "PLAIN")
	_, done, err := e.Next([]byte("\x00alice\x00secret"))
	require.NoError(t, err)
	require.True(t, done)
	require.Equal(t, "alice@example.test", e.Identity().User)
}

func TestPlainAsksWhenThereIsNoInitialResponse(t *testing.T) {
	e := aliceExchange(t, "PLAIN")
	challenge, done, err := e.Next(nil)
	require.NoError(t, err)
	require.False(t, done)
	require.Empty(t, challenge)
	_, done, err = e.Next([]byte("alice\x00alice\x00secret"))
	require.NoError(t, err)
	require.True(t, done)
}

func TestLoginAsksForUserAndPassword(t *testing.T) {
	for _, initial := range [][]byte{nil, []byte("alice")} {
		e := aliceExchange(t, "login")
		challenge, _, err := e.Next(initial)
		require.NoError(t, err)
		if initial == nil {
			require.Equal(t, "Username:", string(challenge))
			challenge, _, err = e.Next([]byte("alice"))
			require.NoError(t, err)
		}
		require.Equal(t, "Password:", string(challenge))
		_, done, err := e.Next([]byte("secret"))
		require.NoError(t, err)
		require.True(t, done)
		require.Equal(t, "alice@example.test", e.Identity().User)
	}
}

func TestA09AuthorizationIdentityOfSomebodyElseIsRefused(t *testing.T) {
	e := aliceExchange(t, "PLAIN")
	_, done, err := e.Next([]byte("bob\x00alice\x00secret"))
	require.ErrorIs(t, err, ErrBadCredentials)
	require.False(t, done)
	require.Zero(t, e.Identity())
}

func TestA01MalformedResponsesProveNothing(t *testing.T) {
	long := strings.Repeat("x", 64<<10)
	for _, r := range []string{
		"", "\x00", "\x00\x00", "\x00\x00\x00", "alice", "alice\x00secret", "\x00alice\x00", "\x00\x00secret",
		"\x00alice\x00secret\x00", "\x00ali\xffce\x00secret", "\x00alice\r\n\x00secret", "\x00" + long + "\x00secret", "\x00alice\x00" + long,
		"\x00*\x00secret", "\x00admin)(uid=*\x00secret", "\x00\\28\x00secret", "\x00a,ou=x\x00secret",
	} {
		e := aliceExchange(t, "PLAIN")
		_, done, err := e.Next([]byte(r))
		require.ErrorIs(t, err, ErrBadCredentials, "%.40q", r)
		require.False(t, done)
		_, _, err = e.Next([]byte("\x00alice\x00secret"))
		require.Error(t, err, "an exchange that failed is over")
	}
}

func TestUnavailableStaysUnavailable(t *testing.T) {
	for _, cause := range []error{fmt.Errorf("%w: wire cut", ErrUnavailable), io.EOF} {
		broken := AuthenticatorFunc(func(context.Context, Credentials) (Identity, error) {
			return Identity{User: "not to be seen"}, cause
		})
		e, _ := NewExchange(context.Background(), "PLAIN", broken, Policy{}, Credentials{Secure: true})
		_, _, err := e.Next([]byte("\x00alice\x00secret"))
		require.ErrorIs(t, err, ErrUnavailable)
		require.ErrorIs(t, err, cause)
		require.NotErrorIs(t, err, ErrBadCredentials)
		require.Zero(t, e.Identity())
		require.Equal(t, "alice", e.User())
	}
}

func FuzzExchange(f *testing.F) {
	f.Add("PLAIN", []byte("\x00alice\x00secret"), []byte(nil), []byte(nil))
	f.Add("PLAIN", []byte(nil), []byte("bob\x00alice\x00secret"), []byte("x"))
	f.Add("login", []byte(nil), []byte("alice"), []byte("secret"))
	f.Add("LOGIN", []byte("alice"), []byte("secret"), []byte(""))
	f.Fuzz(func(t *testing.T, name string, one, two, three []byte) {
		e, err := NewExchange(context.Background(), name, alice, Policy{}, Credentials{Secure: true})
		if err != nil {
			return
		}
		over := false
		for _, response := range [][]byte{nil, one, two, three} {
			_, done, err := e.Next(response)
			require.False(t, done && (over || err != nil), "done after the end")
			require.False(t, over && err == nil, "over, and yet it goes on")
			if err != nil {
				require.ErrorIs(t, err, ErrBadCredentials)
			}
			over = over || done || err != nil
			if e.Identity().User != "" {
				require.True(t, over)
			}
		}
	})
}
