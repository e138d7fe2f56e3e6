package smtp

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/mail"
)

func TestClientThatIsSilentInAnExchangeIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(&box{})
		s.PlainAuth = anywhere
		c := piped(t, s)
		for _, line := range []string{"", "HELO c\r\n", "AUTH PLAIN\r\n"} {
			c.say(line)
			c.answer()
		}
		require.Equal(t, "421 4.4.2 Timeout, closing the connection", c.answer())
	})
}

func TestClientThatIsGoneInAnExchangeHasFailedNoLogin(t *testing.T) {
	for _, last := range []string{"AUTH PLAIN\r\n", "AUTH PLAIN\r\nAGFsa"} {
		ended := make(chan Session, 1)
		s := newServer(&box{})
		s.Hooks = []Hooks{{Close: func(f *Session) { ended <- *f }}}
		c := connect(t, s)
		_, err := io.WriteString(c.nc, last)
		require.NoError(t, err)
		c.nc.Close()
		facts := <-ended
		require.Zero(t, facts.AuthFailures)
		require.Zero(t, facts.Errors)
	}
}

func TestShutdownEndsAnExchange(t *testing.T) {
	s := newServer(&box{})
	c := connect(t, s)
	c.ask("AUTH PLAIN\r\n", "334")
	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(context.Background()) }()
	c.ask("", "421 4.3.2 Going down")
	c.closed()
	require.NoError(t, <-stopped)
}

func TestAuthenticatorMayWantTLS(t *testing.T) {
	s := newServer(&box{})
	s.Auth = auth.AuthenticatorFunc(func(context.Context, auth.Credentials) (auth.Identity, error) {
		return auth.Identity{}, auth.ErrNeedsTLS
	})
	say(t, s, toMail+"C: AUTH PLAIN AGFsaWNlAHdyb25n\nS: 538 5.7.11 Logging in needs TLS, say STARTTLS first\n"+goesOn)
}

func TestDisabledAccountLooksLikeAWrongPassword(t *testing.T) {
	s := newServer(&box{})
	s.Auth = auth.AuthenticatorFunc(func(context.Context, auth.Credentials) (auth.Identity, error) {
		return auth.Identity{}, auth.ErrDisabled
	})
	say(t, s, toMail+"C: AUTH PLAIN AGFsaWNlAHdyb25n\nS: 535 5.7.8 Authentication failed\n"+goesOn)
}

func TestAuthenticatorLearnsWhoAsks(t *testing.T) {
	var got auth.Credentials
	s := newServer(&box{})
	s.Protocol = Submission
	s.Auth = auth.AuthenticatorFunc(func(_ context.Context, c auth.Credentials) (auth.Identity, error) {
		got = c
		return auth.Identity{User: c.User}, nil
	})
	say(t, s, toMail+"C: STARTTLS\nS~ 220 .*\nTLS\nC: HELO c\nS~ 250 .*\nC: AUTH PLAIN AGFsaWNlAHNlY3JldA==\nS~ 235 .*\n"+goesOn)
	require.True(t, got.Secure)
	require.Equal(t, "submission alice secret 127.0.0.1", got.Service+" "+got.User+" "+got.Password+" "+got.Remote.String())
}

// secrets is an Authenticator with an optional power.
type secrets struct{ auth.Authenticator }

func (secrets) Secret(context.Context, string, string) (auth.Secret, error) {
	return auth.Secret{}, nil
}

func TestOptionalPowersOfTheAuthenticatorAreKept(t *testing.T) {
	_, ok := auth.As[auth.SecretSource](&login{Authenticator: secrets{alice}})
	require.True(t, ok)
}

func TestLMTPReply421ClosesAfterTheLastRecipient(t *testing.T) {
	b := &box{answer: func(*Message) error {
		return RecipientErrors{mail.Errorf(421, [3]int{4, 3, 2}, "Full"), nil, nil}
	}}
	say(t, newLMTP(b), toLMTPData+"C: DATA\nS~ 354 .*\nC: .\nS: 421 4.3.2 Full\nS~ 250 .*\nS~ 250 .*\nEOF")
}

func TestClientThatLeavesBeforeTheGreeting(t *testing.T) {
	ended := make(chan struct{})
	s := newServer(&box{})
	s.GreetDelay = time.Hour
	s.Hooks = []Hooks{{Close: func(*Session) { close(ended) }}}
	dial(t, start(t, s)).Close()
	<-ended
}
