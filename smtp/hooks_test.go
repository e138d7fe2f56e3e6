package smtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
)

// stages are hooks that write down when they are asked, and refuse with err
// at one stage.
func stages(log *[]string, refuseAt string, err error) Hooks {
	at := func(stage string) error {
		*log = append(*log, stage)
		if stage == refuseAt {
			return err
		}
		return nil
	}
	return Hooks{
		Connect: func(context.Context, *Session) error { return at("connect") },
		Ehlo:    func(_ context.Context, s *Session) error { return at("ehlo " + s.Helo) },
		Mail:    func(_ context.Context, _ *Session, e *mail.Envelope) error { return at("mail " + e.From.String()) },
		Rcpt: func(_ context.Context, _ *Session, e *mail.Envelope, r *mail.Recipient) error {
			return at(fmt.Sprintf("rcpt %d %s", len(e.Recipients), r.To))
		},
		Header: func(_ context.Context, m *Message) error {
			text, _ := io.ReadAll(message.NewReader(m.Body))
			return at(fmt.Sprintf("header %q", text))
		},
		Data: func(_ context.Context, m *Message) error {
			return at(fmt.Sprintf("data %d %s", m.Body.Size(), m.Index.Envelope.Subject))
		},
		Close: func(s *Session) { _ = at(fmt.Sprintf("close %d %d", s.Messages, s.Errors)) },
	}
}

const oneMessage = toData + "C: Subject: s\nC:\nC: x\nC: .\n"

func TestHooksAreAskedAtEveryStage(t *testing.T) {
	var log []string
	s := newServer(&box{})
	s.Hooks = []Hooks{{}, stages(&log, "", nil), {}}
	say(t, s, strings.ReplaceAll(oneMessage, "C:\n", "C: \n")+"S~ 250 .*\nC: QUIT\nS~ 221 .*\nEOF")
	require.NoError(t, s.Shutdown(context.Background()))
	require.Equal(t, []string{
		"connect", "ehlo c", "mail a@d.test", "rcpt 0 b@d.test", `header "Subject: s\r\n\r\n"`, "data 17 s", "close 1 0",
	}, log)
}

func TestHooksRefuseAtEveryStage(t *testing.T) {
	private := errors.New("private.test:389 is down")
	answers := map[string]error{
		"550 5.7.1 Not you":      mail.Errorf(550, [3]int{5, 7, 1}, "Not you").Because(private),
		"450 4.0.0 Later":        &mail.Reply{Code: 450, Text: "Later"},
		"550 5.7.1 Wrapped":      fmt.Errorf("hook: %w", mail.Errorf(550, [3]int{5, 7, 1}, "Wrapped")),
		"550 5.7.1 a\\?\\?b\\?c": mail.Errorf(550, [3]int{5, 7, 1}, "a\r\nb\x1bc"),
		"451 4.3.0 Temporary failure, please try again later": private,
	}
	for want, err := range answers {
		for stage, dialogue := range map[string]string{
			"ehlo c":                            "S~ 220 .*\nC: HELO c\nS~ " + want + "\nC: MAIL FROM:<a@d.test>\nS~ 503 .*\n",
			"mail a@d.test":                     toMail + "C: MAIL FROM:<a@d.test>\nS~ " + want + "\nC: RCPT TO:<b@d.test>\nS~ 503 .*\n",
			"rcpt 0 b@d.test":                   toMail + "C: MAIL FROM:<a@d.test>\nS~ 250 .*\nC: RCPT TO:<b@d.test>\nS~ " + want + "\nC: DATA\nS~ 554 .*\n",
			"header \"Subject: s\\r\\n\\r\\n\"": oneMessage + "S~ " + want + "\n",
			"data 17 s":                         oneMessage + "S~ " + want + "\n",
		} {
			var log []string
			b := &box{}
			s := newServer(b)
			s.Hooks = []Hooks{stages(&log, stage, err)}
			say(t, s, strings.ReplaceAll(dialogue, "C:\n", "C: \n")+goesOn)
			require.Empty(t, b.all())
		}
	}
}

func TestRefusedConnection(t *testing.T) {
	var log []string
	s := newServer(&box{})
	s.Hooks = []Hooks{stages(&log, "connect", mail.Errorf(554, [3]int{5, 7, 1}, "Not you"))}
	say(t, s, "S: 554 5.7.1 Not you\nEOF")
	require.NoError(t, s.Shutdown(context.Background()))
	require.Equal(t, []string{"connect", "close 0 1"}, log)
}

func TestReply421ClosesTheConnection(t *testing.T) {
	s := newServer(&box{})
	hookRcpt(s, func(*mail.Recipient) error { return mail.Errorf(421, [3]int{4, 7, 0}, "Slow down") })
	say(t, s, toMail+"C: MAIL FROM:<a@d.test>\nS~ 250 .*\nC: RCPT TO:<b@d.test>\nC: RCPT TO:<c@d.test>\nS: 421 4.7.0 Slow down\nEOF")
}

// A hook that means well must not skip the one that decides about relaying.
func TestSuccessOfAHookIsNoLastWord(t *testing.T) {
	b := &box{}
	s := newServer(b)
	hookRcpt(s, func(*mail.Recipient) error { return mail.Errorf(250, [3]int{2, 0, 0}, "Fine") })
	s.Hooks = append(s.Hooks, Hooks{Rcpt: func(context.Context, *Session, *mail.Envelope, *mail.Recipient) error { return errNoRelay }})
	say(t, s, toMail+"C: MAIL FROM:<a@d.test>\nS~ 250 .*\nC: RCPT TO:<b@d.test>\nS: 550 5.7.1 Relaying is not allowed here\n"+goesOn)
}

func TestNonsenseOfAHookIsTemporary(t *testing.T) {
	for _, code := range []int{0, 1, 99, 354, 600, -5} {
		s := newServer(&box{})
		hookRcpt(s, func(*mail.Recipient) error { return &mail.Reply{Code: code, Text: "?"} })
		say(t, s, toMail+"C: MAIL FROM:<a@d.test>\nS~ 250 .*\nC: RCPT TO:<b@d.test>\nS~ 451 4.3.0 .*\n"+goesOn)
	}
}

func TestHooksMayChangeWhatTheyAreShown(t *testing.T) {
	b := &box{}
	s := newServer(b)
	other := mail.MustParseAddress("other@d.test")
	s.Hooks = []Hooks{{
		Mail: func(_ context.Context, _ *Session, e *mail.Envelope) error { e.From = other; return nil },
		Rcpt: func(_ context.Context, _ *Session, _ *mail.Envelope, r *mail.Recipient) error {
			r.To = other
			return nil
		},
		Data: func(_ context.Context, m *Message) error {
			m.Body = message.FromBytes([]byte("changed"))
			return nil
		},
	}}
	say(t, s, toData+"C: .\nS~ 250 .*\n"+goesOn)
	m := b.only(t)
	require.Equal(t, other, m.Envelope.From)
	require.Equal(t, other, m.Envelope.Recipients[0].To)
	require.Equal(t, "changed", m.text)
}

// The Header hook decides before the body has come: the answer waits for it.
func TestHeaderHookIsAskedBeforeTheBodyCame(t *testing.T) {
	asked := make(chan struct{})
	b := &box{}
	s := newServer(b)
	s.Hooks = append(s.Hooks, Hooks{Header: func(context.Context, *Message) error {
		close(asked)
		return mail.Errorf(550, [3]int{5, 7, 1}, "Not this subject")
	}})
	c := connect(t, s)
	c.ask("MAIL FROM:<a@d.test>\r\n", "250")
	c.ask("RCPT TO:<b@d.test>\r\n", "250")
	c.ask("DATA\r\n", "354")
	_, err := io.WriteString(c.nc, "Subject: x\r\n\r\nbody")
	require.NoError(t, err)
	<-asked
	c.ask("\r\n.\r\n", "550 5.7.1 Not this subject")
	c.ask("NOOP\r\n", "250")
	require.Empty(t, b.all())
}

func TestHandlerAnswers(t *testing.T) {
	for want, err := range map[string]error{
		"250 2.0.0 Accepted as .{10}":                         nil,
		"250 2.6.0 Queued as 7":                               mail.Errorf(250, [3]int{2, 6, 0}, "Queued as 7"),
		"452 4.3.1 Insufficient system storage":               mail.ErrStorage.Because(io.ErrShortWrite),
		"250 2.0.0 Accepted as [0-9a-z]{10}":                  (*mail.Reply)(nil), // success, if clumsy
		"552 5.2.2 Quota":                                     mail.Errorf(552, [3]int{5, 2, 2}, "Quota"),
		"451 4.3.0 Temporary failure, please try again later": errors.New("private"),
		"451 4.3.0 Temporary failure, please try again l.*":   RecipientErrors{nil}, // only LMTP speaks for each
	} {
		b := &box{answer: func(*Message) error { return err }}
		say(t, newServer(b), toData+"C: .\nS~ "+want+"\n"+goesOn)
	}
}

func TestPanicOfAHandlerEndsOnlyItsSession(t *testing.T) {
	s := newServer(&box{answer: func(*Message) error { panic("as asked") }})
	address := start(t, s)
	c := hello(t, dial(t, address))
	c.ask("MAIL FROM:<a@d.test>\r\n", "250")
	c.ask("RCPT TO:<b@d.test>\r\n", "250")
	c.ask("DATA\r\n", "354")
	_, err := io.WriteString(c.nc, ".\r\n")
	require.NoError(t, err)
	c.closed()
	hello(t, dial(t, address)).ask("QUIT\r\n", "221")
}

func TestServerWithoutAHandlerDoesNotServe(t *testing.T) {
	l := listen(t)
	require.ErrorIs(t, new(Server).Serve(context.Background(), l), errNoHandler)
	_, err := l.Accept()
	require.Error(t, err, "the listener is closed")
}
