package smtp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/mail"
)

// hookRcpt puts f in the place of the hook that accepts anyone.
func hookRcpt(s *Server, f func(r *mail.Recipient) error) {
	s.Hooks = []Hooks{{Rcpt: func(_ context.Context, _ *Session, _ *mail.Envelope, r *mail.Recipient) error { return f(r) }}}
}

func TestS16RecipientsBeyondTheLimit(t *testing.T) {
	nc := dial(t, start(t, newServer(&box{})))
	go func() {
		w := bufio.NewWriter(nc)
		_, _ = w.WriteString("HELO c\r\nMAIL FROM:<a@d.test>\r\n")
		for range 100_001 {
			_, _ = w.WriteString("RCPT TO:<b@d.test>\r\n")
		}
		_ = w.Flush() // fails once the server has hung up
	}()
	count := map[string]int{}
	require.NoError(t, nc.SetReadDeadline(time.Now().Add(20*time.Second)))
	for in := bufio.NewScanner(nc); in.Scan(); {
		count[in.Text()[:3]]++
	}
	require.Equal(t, map[string]int{"220": 1, "250": 2 + 1000, "452": 1000, "421": 1}, count)
}

func TestRecipientsBeyondTheLimitDoNotHurtTheOthers(t *testing.T) {
	b := &box{}
	s := newServer(b)
	s.Limits.Recipients = 2
	say(t, s, toMail+envelope+"C: RCPT TO:<c@d.test>\nS~ 250 .*\nC: RCPT TO:<e@d.test>\nS: 452 4.5.3 Too many recipients, send to the others later\n"+
		"C: DATA\nS~ 354 .*\nC: .\nS~ 250 .*\n"+goesOn)
	require.Len(t, b.only(t).Envelope.Recipients, 2)
}

func TestS17UnknownRecipientsAreSlowedDownAndCutOff(t *testing.T) {
	s := newServer(&box{})
	hookRcpt(s, func(*mail.Recipient) error { return mail.Errorf(550, [3]int{5, 1, 1}, "No such user") })
	s.Limits.Errors, s.Limits.Delay = 6, 20*time.Millisecond
	c := connect(t, s)
	c.ask("MAIL FROM:<a@d.test>\r\n", "250")
	began := time.Now()
	for range 6 {
		c.ask("RCPT TO:<x@d.test>\r\n", "550 5.1.1 No such user")
	}
	c.ask("", "421 4.7.0 Too many errors")
	c.closed()
	require.GreaterOrEqual(t, time.Since(began), 3*s.Limits.Delay)
}

func TestErrorsAreForgivenByAMessage(t *testing.T) {
	s := newServer(&box{})
	s.Limits.Errors = 3
	c := connect(t, s)
	for range 5 {
		c.ask("XYZZY\r\n", "500")
		c.ask("XYZZY\r\n", "500")
		c.ask("MAIL FROM:<a@d.test>\r\n", "250")
		c.ask("RCPT TO:<b@d.test>\r\n", "250")
		c.ask("DATA\r\n", "354")
		c.ask(".\r\n", "250")
	}
}

func TestS31IdleCommandsAreLimited(t *testing.T) {
	s := newServer(&box{})
	s.Limits.Commands, s.Limits.Errors = 5, 2
	c := connect(t, s)
	for range 5 {
		c.ask("VRFY root\r\n", "252")
	}
	c.ask("NOOP\r\n", "250")
	c.ask("RSET\r\n", "250")
	c.ask("", "421 4.7.0 Too many errors")
	c.closed()
}

// tricks are recipients that a server with the domain local.test must not
// take for its own.
var tricks = []string{
	"<user@foreign.test>", "<user%foreign.test@local.test>", "<foreign.test!user@local.test>", "<@local.test:user@foreign.test>",
	`<"user@foreign.test"@local.test>`, "<user@foreign.test.>", "<user@[192.0.2.1]>", "<user@[IPv6:2001:db8::1]>", "<user@lосal.test>", "<postmaster>",
}

func TestS18NothingIsRelayedWithoutARcptHook(t *testing.T) {
	for _, p := range []Protocol{ESMTP, LMTP} {
		b := &box{}
		s := newServer(b)
		s.Protocol, s.Hooks = p, []Hooks{{Connect: func(context.Context, *Session) error { return nil }}}
		text := "S~ 220 .*\nC: EHLO c\nS~ 250-.*\nS~ 250-STARTTLS\nS~ 250-AUTH.*\n" + strings.Repeat("S~ 250-.*\n", 9) + "S~ 250 .*\n"
		if p == LMTP {
			text = strings.Replace(text, "EHLO", "LHLO", 1)
		}
		text += "C: MAIL FROM:<a@local.test> SMTPUTF8\nS~ 250 .*\n"
		for _, trick := range tricks {
			text += "C: RCPT TO:" + trick + "\nS: 550 5.7.1 Relaying is not allowed here\n"
		}
		say(t, s, text+"C: DATA\nS~ 5.*\n"+goesOn)
		require.Empty(t, b.all())
	}
}

// What a Rcpt hook sees of a trick is the mailbox that mail would go to: the
// source route is gone, the quoting is not.
func TestS18HooksSeeTheTrueRecipient(t *testing.T) {
	var seen []string
	s := newServer(&box{})
	hookRcpt(s, func(r *mail.Recipient) error { seen = append(seen, r.To.String()); return nil })
	c := connect(t, s)
	c.ask("MAIL FROM:<a@d.test> SMTPUTF8\r\n", "250")
	for _, trick := range tricks {
		c.ask("RCPT TO:"+trick+"\r\n", "250")
	}
	require.Equal(t, []string{
		"user@foreign.test", "user%foreign.test@local.test", "foreign.test!user@local.test", "user@foreign.test",
		`"user@foreign.test"@local.test`, "user@foreign.test.", "user@[192.0.2.1]", "user@[IPv6:2001:db8::1]", "user@lосal.test", "postmaster",
	}, seen)
}

func TestQuotedLocalPartsKeepTheirQuotes(t *testing.T) {
	b := &box{}
	say(t, newServer(b), toMail+`C: MAIL FROM:<"a@evil"@d.test>`+"\nS~ 250 .*\n"+`C: RCPT TO:<"x> NOTIFY=NEVER <"@d.test>`+"\nS~ 250 .*\nC: DATA\nS~ 354 .*\nC: .\nS~ 250 .*\n"+goesOn)
	m := b.only(t)
	require.Equal(t, `"a@evil"@d.test`, m.Envelope.From.String())
	require.Equal(t, `"x> NOTIFY=NEVER <"@d.test`, m.Envelope.Recipients[0].To.String())
	require.Empty(t, m.Envelope.Recipients[0].Options.Notify)
}

func TestRefusedNestedMailKeepsTheFirstSender(t *testing.T) {
	b := &box{}
	say(t, newServer(b), toMail+envelope+"C: MAIL FROM:<other@d.test>\nS~ 503 .*\nC: DATA\nS~ 354 .*\nC: .\nS~ 250 .*\n"+goesOn)
	require.Equal(t, "a@d.test", b.only(t).Envelope.From.String())
}

func TestRecipientsAreForgottenByRSETAndEHLO(t *testing.T) {
	b := &box{}
	say(t, newServer(b), toMail+envelope+"C: RSET\nS~ 250 .*\nC: MAIL FROM:<c@d.test>\nS~ 250 .*\nC: HELO again\nS~ 250 .*\n"+
		"C: MAIL FROM:<e@d.test>\nS~ 250 .*\nC: RCPT TO:<f@d.test>\nS~ 250 .*\nC: DATA\nS~ 354 .*\nC: .\nS~ 250 .*\n"+goesOn)
	m := b.only(t)
	require.Equal(t, "e@d.test", m.Envelope.From.String())
	require.Len(t, m.Envelope.Recipients, 1)
}

// stall is a timeout that a test can wait for.
const stall = 50 * time.Millisecond

func TestS23SilentClientsAreClosed(t *testing.T) {
	for name, timeouts := range map[string]Timeouts{"command": {Idle: stall}, "line": {Line: stall}, "content": {Read: stall}} {
		t.Run(name, func(t *testing.T) {
			b := &box{}
			s := newServer(b)
			s.Timeouts = timeouts
			c := connect(t, s)
			switch name {
			case "line":
				_, err := io.WriteString(c.nc, "MAIL FR")
				require.NoError(t, err)
			case "content":
				c.ask("MAIL FROM:<a@d.test>\r\n", "250")
				c.ask("RCPT TO:<b@d.test>\r\n", "250")
				c.ask("DATA\r\n", "354")
				_, err := io.WriteString(c.nc, "half a li")
				require.NoError(t, err)
			}
			c.ask("", "421 4.4.2 Timeout")
			c.closed()
			require.Empty(t, b.all())
		})
	}
}

func TestS23SilentHandshakeIsClosed(t *testing.T) {
	s := newServer(&box{})
	s.Timeouts.Handshake = stall
	c := connect(t, s)
	c.ask("STARTTLS\r\n", "220")
	c.closed()
}

// The rest of a message whose client was too slow must never run as commands.
func TestS23ContentAfterATimeoutIsNoCommand(t *testing.T) {
	b := &box{}
	s := newServer(b)
	s.Timeouts.Read = stall
	c := connect(t, s)
	c.ask("MAIL FROM:<a@d.test>\r\n", "250")
	c.ask("RCPT TO:<b@d.test>\r\n", "250")
	c.ask("DATA\r\n", "354")
	c.ask("some text\r\n", "421") // the answer is that of the timeout
	_, _ = io.WriteString(c.nc, smuggled)
	c.closed()
	require.Empty(t, b.all())
}

func TestFailedHandshakeEndsTheConnection(t *testing.T) {
	c := connect(t, newServer(&box{}))
	c.ask("STARTTLS\r\n", "220")
	_, err := io.WriteString(c.nc, "MAIL FROM:<clear@d.test>\r\n")
	require.NoError(t, err)
	rest, _ := io.ReadAll(c.in)
	require.NotContains(t, string(rest), "250")
	require.NotContains(t, string(rest), "503")
}

func TestS24SilentConnectionsDoNotStopOthers(t *testing.T) {
	s := newServer(&box{})
	address := start(t, s)
	for range 500 {
		dial(t, address)
	}
	hello(t, dial(t, address)).ask("QUIT\r\n", "221")
}

func TestS26MailLoopIsBroken(t *testing.T) {
	hop := "Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\n"
	for n, want := range map[int]string{50: "250", 51: "554 5.4.6"} {
		say(t, newServer(&box{}), toData+raw(strings.Repeat(hop, n)+"\r\nbody\r\nReceived: not a field\r\n.\r\n")+"S~ "+want+" .*\n"+goesOn)
	}
	s := newServer(&box{})
	s.Limits.ReceivedHops = 1
	say(t, s, toData+raw("RECEIVED: a\r\nreceived: b\r\n\r\n.\r\n")+"S~ 554 .*\n"+goesOn)
}

func TestS27HeadersBeyondTheLimits(t *testing.T) {
	for name, header := range map[string]string{
		"block":  strings.Repeat("X: "+strings.Repeat("x", 996)+"\r\n", 1100),
		"line":   "X: " + strings.Repeat("x", 10<<20) + "\r\n",
		"fields": strings.Repeat("X: y\r\n", 100_000),
		"folded": "X: y\r\n" + strings.Repeat(" z\r\n", 300_000),
	} {
		t.Run(name, func(t *testing.T) {
			b := &box{}
			say(t, newServer(b), toData+raw(header+"\r\nbody\r\n.\r\n")+"S: 552 5.3.4 Header too big\n"+goesOn)
			require.Empty(t, b.all())
		})
	}
	say(t, newServer(&box{}), toData+raw(strings.Repeat("X: y\r\n", 10_000)+"\r\n.\r\n")+"S~ 250 .*\n"+goesOn)
}

func TestS29SpoolThatCannotBeWritten(t *testing.T) {
	b := &box{}
	s := newServer(b)
	s.SpoolDir, s.SpoolMemory = filepath.Join(t.TempDir(), "missing"), 100
	say(t, s, toData+raw(strings.Repeat("line\r\n", 1000)+".\r\n")+"S: 451 4.3.0 Temporary failure, please try again later\n"+goesOn)
	require.Empty(t, b.all())
}

func TestS29FullDiskIsTemporary(t *testing.T) {
	require.ErrorIs(t, storageReply(fmt.Errorf("write: %w", syscall.ENOSPC)), mail.ErrStorage)
	require.ErrorIs(t, storageReply(fmt.Errorf("write: %w", syscall.EDQUOT)), mail.ErrStorage)
	require.ErrorIs(t, storageReply(syscall.EROFS), mail.ErrTemporary)
}

func TestS30ClientGoneAfterTheDotIsDeliveredOnce(t *testing.T) {
	b := &box{}
	handled := make(chan struct{})
	s := newServer(HandlerFunc(func(ctx context.Context, m *Message) error {
		defer close(handled)
		return b.Handle(ctx, m)
	}))
	c := connect(t, s)
	c.ask("MAIL FROM:<a@d.test>\r\n", "250")
	c.ask("RCPT TO:<b@d.test>\r\n", "250")
	c.ask("DATA\r\n", "354")
	_, err := io.WriteString(c.nc, "x\r\n.\r\n")
	require.NoError(t, err)
	c.nc.Close()
	<-handled
	require.Equal(t, "x\r\n", b.only(t).text)
}

func TestS30ClientGoneInsideOfContentIsNotDelivered(t *testing.T) {
	for _, body := range []string{"DATA\r\nhalf\r\n.\r", "DATA\r\n", "BDAT 10 LAST\r\nhalf", "BDAT 4\r\nhalfRSET\r\n", "BDAT 4\r\nhalf"} {
		b := &box{}
		ended := make(chan struct{})
		s := newServer(b)
		s.Hooks = append(s.Hooks, Hooks{Close: func(*Session) { close(ended) }})
		c := connect(t, s)
		c.ask("MAIL FROM:<a@d.test>\r\n", "250")
		c.ask("RCPT TO:<b@d.test>\r\n", "250")
		_, err := io.WriteString(c.nc, body)
		require.NoError(t, err)
		c.nc.Close()
		<-ended
		require.Empty(t, b.all(), "%q", body)
	}
}

func TestS20NoLoginWithoutTLS(t *testing.T) {
	s := newServer(&box{})
	s.PlainAuth = nil
	s.Auth = auth.AuthenticatorFunc(func(context.Context, auth.Credentials) (auth.Identity, error) {
		t.Error("a password was looked at")
		return auth.Identity{}, auth.ErrBadCredentials
	})
	say(t, s, `S~ 220 .*
C: EHLO c
S: 250-mx.example.test
S: 250-STARTTLS
S: 250-PIPELINING
`+strings.Repeat("S~ 250-.*\n", 8)+`S: 250 HELP
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 538 5.7.11 Logging in needs TLS, say STARTTLS first
C: AUTH LOGIN
S: 538 5.7.11 Logging in needs TLS, say STARTTLS first
C: AUTH SCRAM-SHA-1
S: 538 5.7.11 Logging in needs TLS, say STARTTLS first
`+goesOn)
}

func TestS20RequiredTLS(t *testing.T) {
	s := newServer(&box{})
	s.RequireTLS = true
	say(t, s, `S~ 220 .*
C: HELO c
S~ 250 .*
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 530 5.7.0 Say STARTTLS first
C: MAIL FROM:<a@d.test>
S: 530 5.7.0 Say STARTTLS first
C: VRFY a
S: 530 5.7.0 Say STARTTLS first
C: BDAT 6 LAST
C! "QUIT\r\n"
S: 530 5.7.0 Say STARTTLS first
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
TLS
C: HELO c
S~ 250 .*
C: MAIL FROM:<a@d.test>
S: 250 2.1.0 Sender OK
`+goesOn)
}

func TestNoAuthenticatorMeansNoAUTH(t *testing.T) {
	s := newServer(&box{})
	s.Auth = nil
	say(t, s, toMail+"C: AUTH PLAIN AGFsaWNlAHNlY3JldA==\nS: 502 5.5.1 Not available here\n"+
		"C: MAIL FROM:<a@d.test> AUTH=<>\nS: 555 5.5.4 Unknown parameter\n"+goesOn)
}

func TestS21EndlessBase64(t *testing.T) {
	say(t, newServer(&box{}), toMail+"C: AUTH PLAIN\nS: 334 \n"+raw(strings.Repeat("QUFB", 1<<18))+"S: 500 5.5.6 Line too long\nEOF")
	say(t, newServer(&box{}), toMail+raw("AUTH PLAIN "+strings.Repeat("QUFB", 1<<18)+"\r\n")+"S: 500 5.5.2 Line too long\nEOF")
	say(t, newServer(&box{}), toMail+raw("AUTH PLAIN "+strings.Repeat("QUFB", 2500)+"\r\n")+"S: 535 5.7.8 Authentication failed\n"+goesOn)
}

func TestFailedLoginsAreCounted(t *testing.T) {
	s := newServer(&box{})
	s.Limits.AuthFailures = 3
	bad := "C: AUTH PLAIN AGFsaWNlAHdyb25n\nS: 535 5.7.8 Authentication failed\n"
	say(t, s, toMail+bad+bad+bad+"S: 421 4.7.0 Too many failed logins\nEOF")
}

func TestThrottledLoginEndsTheSession(t *testing.T) {
	s := newServer(&box{})
	s.Auth = auth.AuthenticatorFunc(func(context.Context, auth.Credentials) (auth.Identity, error) {
		return auth.Identity{}, auth.ErrTooMany
	})
	say(t, s, toMail+"C: AUTH PLAIN AGFsaWNlAHdyb25n\nS: 421 4.7.0 Too many failed logins\nEOF")
}

// An authenticator that times out is no client that timed out.
func TestUnavailableDirectoryIsTemporary(t *testing.T) {
	for _, err := range []error{auth.ErrUnavailable, context.DeadlineExceeded, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, errors.New("ldap://private.test is down"), wire.ErrLineTooLong} {
		s := newServer(&box{})
		s.Auth = auth.AuthenticatorFunc(func(context.Context, auth.Credentials) (auth.Identity, error) { return auth.Identity{}, err })
		say(t, s, toMail+"C: AUTH PLAIN AGFsaWNlAHdyb25n\nS: 454 4.7.0 Authentication is not available now, please try again later\n"+goesOn)
	}
}

func TestEarlyTalkersAreRefused(t *testing.T) {
	s := newServer(&box{})
	s.GreetDelay = 20 * time.Second
	say(t, s, "C: EHLO spammer\nS: 554 5.5.1 Wait for the greeting\nEOF")
}

func TestPatientClientsAreGreeted(t *testing.T) {
	s := newServer(&box{})
	s.GreetDelay = 10 * time.Millisecond
	say(t, s, toMail+goesOn)
}
