package smtp

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/mail"
)

func newLMTP(h Handler) *Server {
	s := newServer(h)
	s.Protocol = LMTP
	s.Auth = nil
	return s
}

const toLMTPData = `S: 220 mx.example.test LMTP Posthouse
C: HELO c
S: 500 5.5.1 Unknown command
C: EHLO c
S: 500 5.5.1 Unknown command
C: MAIL FROM:<a@d.test>
S: 503 5.5.1 Say LHLO first
C: LHLO c
S: 250-mx.example.test
S: 250-STARTTLS
S: 250-PIPELINING
S: 250-SIZE 52428800
S: 250-ENHANCEDSTATUSCODES
S: 250-8BITMIME
S: 250-SMTPUTF8
S: 250-CHUNKING
S: 250-BINARYMIME
S: 250-DSN
S: 250-LIMITS RCPTMAX=1000
S: 250 HELP
C: MAIL FROM:<a@d.test>
S: 250 2.1.0 Sender OK
C: RCPT TO:<one@d.test>
S: 250 2.1.5 Recipient OK
C: RCPT TO:<bad
S: 501 5.1.3 Malformed recipient address
C: RCPT TO:<two@d.test>
S: 250 2.1.5 Recipient OK
C: RCPT TO:<three@d.test>
S: 250 2.1.5 Recipient OK
`

func TestLMTPAnswersForEachRecipient(t *testing.T) {
	b := &box{answer: func(*Message) error {
		return RecipientErrors{nil, mail.Errorf(552, [3]int{5, 2, 2}, "Over quota"), errors.New("private")}
	}}
	for _, content := range []string{"C: DATA\nS~ 354 .*\nC: .\n", "C! \"BDAT 1\\r\\nx\"\nS~ 250 .*\nC! \"BDAT 1 LAST\\r\\ny\"\n"} {
		say(t, newLMTP(b), toLMTPData+content+`S~ 250 2.0.0 Accepted as .*
S: 552 5.2.2 Over quota
S: 451 4.3.0 Temporary failure, please try again later
C: NOOP
S: 250 2.0.0 OK
`+goesOn)
	}
	require.Len(t, b.all(), 2)
}

func TestLMTPAnswersOnceForAllToEach(t *testing.T) {
	for want, err := range map[string]error{
		"250 2.0.0 Accepted as .*": nil,
		"250 2.0.0 Kept":           mail.Errorf(250, [3]int{2, 0, 0}, "Kept"),
		"452 4.3.1 .*":             mail.ErrStorage,
		"451 4.3.0 .*":             RecipientErrors{nil}, // speaks for one of three
	} {
		line := "S~ " + want + "\n"
		say(t, newLMTP(&box{answer: func(*Message) error { return err }}), toLMTPData+"C: DATA\nS~ 354 .*\nC: .\n"+line+line+line+goesOn)
	}
}

func TestLMTPRefusedContentIsAnsweredToEach(t *testing.T) {
	b := &box{}
	say(t, newLMTP(b), toLMTPData+"C: DATA\nS~ 354 .*\n"+raw("a\nb\r\n.\r\n")+refusedBare+refusedBare+refusedBare+goesOn)
	require.Empty(t, b.all())
}

func TestLMTPWithoutRecipients(t *testing.T) {
	s := newLMTP(&box{})
	hookRcpt(s, func(*mail.Recipient) error { return mail.Errorf(550, [3]int{5, 1, 1}, "No such user") })
	say(t, s, `S~ 220 .*
C: LHLO c
S~ 250-.*
S~ 250-.*
S~ 250-.*
S~ 250-.*
S~ 250-.*
S~ 250-.*
S~ 250-.*
S~ 250-.*
S~ 250-.*
S~ 250-.*
S~ 250-.*
S~ 250 .*
C: MAIL FROM:<a@d.test>
S~ 250 .*
C: RCPT TO:<b@d.test>
S: 550 5.1.1 No such user
C: DATA
S: 503 5.5.1 Say RCPT first
`+goesOn)
}

func TestLMTPClientsMayFailALot(t *testing.T) {
	s := newLMTP(&box{})
	hookRcpt(s, func(*mail.Recipient) error { return mail.Errorf(550, [3]int{5, 1, 1}, "No such user") })
	nc := dial(t, start(t, s))
	c := &client{t: t, nc: nc, in: newReader(nc)}
	c.ask("", "220")
	for line := c.ask("LHLO c\r\n", "250"); line[3] == '-'; {
		line = c.ask("", "250")
	}
	c.ask("MAIL FROM:<a@d.test>\r\n", "250")
	for range 500 {
		c.ask("RCPT TO:<b@d.test>\r\n", "550")
	}
}

func TestSubmissionRequiresAuthentication(t *testing.T) {
	b := &box{}
	s := newServer(b)
	s.Protocol = Submission
	say(t, s, toMail+`C: MAIL FROM:<a@d.test>
S: 530 5.7.0 Authentication required
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 235 2.7.0 Authentication succeeded
C: MAIL FROM:<a@d.test> AUTH=e+3Dmc2@example.com
S: 250 2.1.0 Sender OK
C: RCPT TO:<b@d.test>
S~ 250 .*
C: DATA
S~ 354 .*
C: .
S~ 250 .*
`+goesOn)
	m := b.only(t)
	require.Equal(t, "alice@example.test", m.facts.User)
	require.Equal(t, "e=mc2@example.com", *m.Envelope.Options.Auth)
}

// MAIL AUTH= of somebody who proved nothing reads as unknown (RFC 4954 §5).
func TestAUTHParameterOfStrangersIsNotBelieved(t *testing.T) {
	b := &box{}
	say(t, newServer(b), toMail+"C: MAIL FROM:<a@d.test> AUTH=boss@d.test\nS~ 250 .*\nC: RCPT TO:<b@d.test>\nS~ 250 .*\nC: DATA\nS~ 354 .*\nC: .\nS~ 250 .*\n"+goesOn)
	require.Empty(t, *b.only(t).Envelope.Options.Auth)
}

func TestProtocolsAreNamed(t *testing.T) {
	require.Equal(t, "smtp submission lmtp", ESMTP.String()+" "+Submission.String()+" "+LMTP.String())
	require.Equal(t, "1 of 2 recipients failed", RecipientErrors{nil, context.Canceled}.Error())
}
