package sender_test

import (
	"context"
	"net"
	"strings"
	"testing"

	smtp "github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/testcert"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/resolver/resolvertest"
	"github.com/posthouse-mail/posthouse/smtp/sender"
)

const text = "Subject: hi\r\n\r\n.dot\r\nbye\r\n"

func TestOneConnectionForAllRecipients(t *testing.T) {
	p := newPeer(t, nil)
	p.refuse["no@d.test"] = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "nobody"}
	p.refuse["later@d.test"] = &smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 2, 1}, Message: "greylisted"}
	j := job(text, "a@us.test", "yes@d.test", "no@d.test", "later@d.test", "yes2@d.test")
	j.Route = to(p.at())
	results := send(t, options(), j)
	require.Equal(t, []int{250, 550, 450, 250}, codes(results))
	require.Equal(t, smtp.EnhancedCode{5, 1, 1}, results[1].Reply.EnhancedCode())
	require.Equal(t, "nobody", results[1].Reply.Text)
	require.Equal(t, p.host, results[1].Host)
	taken := p.messages()
	require.Len(t, taken, 1)
	require.Equal(t, "a@us.test", taken[0].from)
	require.Equal(t, []string{"yes@d.test", "yes2@d.test"}, taken[0].to)
	require.Equal(t, text, taken[0].data)
	require.Equal(t, "us.test", taken[0].helo)
	require.EqualValues(t, len(text), taken[0].options.Size)
}

func TestNullSenderAndQuotedAddressesTravelAsWritten(t *testing.T) {
	var mailLine, rcptLine string
	host, port := hostile(t, func(c net.Conn, r *bufioReader) {
		answer(c, "220 hi")
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			switch {
			case strings.HasPrefix(line, "MAIL"):
				mailLine = line
			case strings.HasPrefix(line, "RCPT"):
				rcptLine = line
				answer(c, "550 enough")
				return
			}
			answer(c, "250 ok")
		}
	})
	j := job(text, "", `"x> NOTIFY=NEVER <"@d.test`)
	j.Route = to(sender.Host{Name: host, Port: port})
	require.Equal(t, []int{550}, codes(send(t, options(), j)))
	require.Equal(t, "MAIL FROM:<>\r\n", mailLine)
	require.Equal(t, "RCPT TO:<\"x> NOTIFY=NEVER <\"@d.test>\r\n", rcptLine)
}

// TestS15EnvelopeCantHoldLineEnds shows where CR and LF stop: there is no
// Address with them.
func TestS15EnvelopeCantHoldLineEnds(t *testing.T) {
	for _, s := range []string{"a@d\r\nX-Injected: 1", "a\r\n@d", "\"a\r\nb\"@d", "a@[1.2.3.4]\r\n", "a@d\n"} {
		_, err := mail.ParseAddress(s)
		require.ErrorIs(t, err, mail.ErrBadAddress, "%q", s)
	}
	p := newPeer(t, nil)
	j := job(text, "a@us.test", "b@d.test")
	j.Route = to(p.at())
	j.Envelope.Options.EnvelopeID = "x\r\nRSET"
	j.Envelope.Recipients[0].Options = smtp.RcptOptions{
		Notify: []smtp.DSNNotify{"SUCCESS\r\nRSET"}, OriginalRecipientType: "RFC822\r\nRSET", OriginalRecipient: "b@d.test",
	}
	require.Equal(t, []int{250}, codes(send(t, options(), j)))
	require.Empty(t, p.messages()[0].options.EnvelopeID)
	require.Empty(t, p.messages()[0].toOption[0].Notify)
}

func TestDSNParametersArePassedWhenOffered(t *testing.T) {
	j := job(text, "a@us.test", "b@d.test")
	j.Envelope.Options = smtp.MailOptions{Return: smtp.DSNReturnHeaders, EnvelopeID: "id+1"}
	j.Envelope.Recipients[0].Options = smtp.RcptOptions{
		Notify:                []smtp.DSNNotify{smtp.DSNNotifySuccess, smtp.DSNNotifyFailure},
		OriginalRecipientType: smtp.DSNAddressTypeRFC822, OriginalRecipient: "old@d.test",
	}
	with, without := newPeer(t, nil), newPeer(t, func(s *smtp.Server) { s.EnableDSN = false })
	j.Route = to(with.at())
	require.True(t, send(t, options(), j)[0].DSN)
	m := with.messages()[0]
	require.Equal(t, smtp.DSNReturnHeaders, m.options.Return)
	require.Equal(t, "id+1", m.options.EnvelopeID)
	require.Equal(t, j.Envelope.Recipients[0].Options.Notify, m.toOption[0].Notify)
	require.Equal(t, "old@d.test", m.toOption[0].OriginalRecipient)

	j.Route = to(without.at())
	require.False(t, send(t, options(), j)[0].DSN)
	require.Empty(t, without.messages()[0].toOption[0].Notify)
}

func TestOriginalRecipientsAreEncoded(t *testing.T) {
	for _, international := range []bool{true, false} {
		p := newPeer(t, func(s *smtp.Server) { s.EnableSMTPUTF8 = international })
		j := job(text, "a@us.test", "b@d.test", "c@d.test", "d@d.test")
		j.Envelope.Options.UTF8 = true
		j.Route = to(p.at())
		originals := []smtp.RcptOptions{
			{OriginalRecipientType: smtp.DSNAddressTypeRFC822, OriginalRecipient: "a+tag=x y@d.test"},
			{OriginalRecipientType: smtp.DSNAddressTypeUTF8, OriginalRecipient: "jürgen+=\\@bücher.test"},
			{OriginalRecipientType: smtp.DSNAddressTypeUTF8, OriginalRecipient: "x@d.test"},
		}
		for i := range originals {
			j.Envelope.Recipients[i].Options = originals[i]
		}
		require.Equal(t, []int{250, 250, 250}, codes(send(t, options(), j)))
		for i, got := range p.messages()[0].toOption {
			require.Equal(t, originals[i].OriginalRecipient, got.OriginalRecipient)
		}
	}
}

func TestTwinsAreSentOnceOthersNever(t *testing.T) {
	p := newPeer(t, nil)
	p.refuse["no@d.test"] = &smtp.SMTPError{Code: 550, Message: "nobody"}
	j := job(text, "a@us.test", "a@d.test", "no@d.test", "a@d.test", `"x> a"@d.test`, `"x> b"@d.test`, "no@d.test")
	j.Route = to(p.at())
	require.Equal(t, []int{250, 550, 250, 250, 250, 550}, codes(send(t, options(), j)))
	require.Len(t, p.messages()[0].to, 3)
}

func TestEnvelopeIsOneWriteWherePipeliningIsKnown(t *testing.T) {
	pieces := make(chan string, 10)
	host, port := hostile(t, func(c net.Conn, r *bufioReader) {
		answer(c, "220 hi")
		_, _ = r.ReadString('\n')
		answer(c, "250-hi\r\n250 Pipelining")
		buf := make([]byte, 1<<10)
		n, _ := c.Read(buf)
		pieces <- string(buf[:n])
		answer(c, "250 ok\r\n550 no\r\n250 ok")
		_, _ = r.ReadString('\n')
		answer(c, "354 go")
		for line := ""; line != ".\r\n"; {
			var err error
			if line, err = r.ReadString('\n'); err != nil {
				return
			}
		}
		answer(c, "250 ok")
	})
	j := job(text, "a@us.test", "b@d.test", "c@d.test")
	j.Route = to(sender.Host{Name: host, Port: port})
	require.Equal(t, []int{550, 250}, codes(send(t, options(), j)))
	require.Equal(t, "MAIL FROM:<a@us.test>\r\nRCPT TO:<b@d.test>\r\nRCPT TO:<c@d.test>\r\n", <-pieces)
}

func TestMoreRecipientsThanOneTransactionTakes(t *testing.T) {
	p := newPeer(t, nil)
	var all []string
	for i := range 25 {
		all = append(all, string(rune('a'+i))+"@d.test")
	}
	j := job(text, "a@us.test", all...)
	j.Route = to(p.at())
	o := options()
	o.MaxRecipients = 10
	for _, r := range send(t, o, j) {
		require.Equal(t, 250, r.Reply.Code)
	}
	taken := p.messages()
	require.Len(t, taken, 3)
	require.Len(t, taken[2].to, 5)
}

func TestBatchWithoutRecipientsDoesNotHarmTheNext(t *testing.T) {
	p := newPeer(t, nil)
	p.refuse["a@d.test"] = &smtp.SMTPError{Code: 550, Message: "nobody"}
	j := job(text, "a@us.test", "a@d.test", "b@d.test")
	j.Route = to(p.at())
	o := options()
	o.MaxRecipients = 1
	require.Equal(t, []int{550, 250}, codes(send(t, o, j)))
	require.Equal(t, []string{"b@d.test"}, p.messages()[0].to)
}

func TestRefusalsOfTheWholeMessage(t *testing.T) {
	for what, want := range map[string]int{"MAIL": 452, "DATA": 554} {
		p := newPeer(t, nil)
		p.refuse[what] = &smtp.SMTPError{Code: want, Message: "no"}
		j := job(text, "a@us.test", "b@d.test", "c@d.test")
		j.Route = to(p.at())
		require.Equal(t, []int{want, want}, codes(send(t, options(), j)), what)
	}
}

func TestMessageLargerThanAnnounced(t *testing.T) {
	p := newPeer(t, func(s *smtp.Server) { s.MaxMessageBytes = 10 })
	j := job(text, "a@us.test", "b@d.test")
	j.Route = to(p.at())
	r := send(t, options(), j)[0].Reply
	require.Equal(t, 552, r.Code)
	require.Equal(t, smtp.EnhancedCode{5, 3, 4}, r.EnhancedCode())
}

func TestLMTPAnswersPerRecipient(t *testing.T) {
	p := newPeer(t, func(s *smtp.Server) { s.LMTP = true })
	p.refuse["DATA b@d.test"] = &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 2, 2}, Message: "full"}
	p.refuse["c@d.test"] = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "nobody"}
	j := job(text, "a@us.test", "a@d.test", "b@d.test", "c@d.test", "a@d.test")
	j.Route = sender.Route{Hosts: []sender.Host{p.at()}, Protocol: sender.LMTP}
	require.Equal(t, []int{250, 452, 550, 250}, codes(send(t, options(), j)))
	require.Equal(t, []string{"a@d.test", "b@d.test"}, p.messages()[0].to, "a twin recipient is sent once")
}

func TestTLSModes(t *testing.T) {
	secure := newPeer(t, func(s *smtp.Server) { s.TLSConfig = testcert.Server() })
	plain := newPeer(t, nil)
	strange := options()
	strange.TLS = nil // knows no roots that the peer's certificate hangs on
	for name, c := range map[string]struct {
		o    sender.Options
		p    *peer
		mode sender.TLSMode
		want int
		tls  bool
	}{
		"offered and taken":                       {options(), secure, sender.TLSOffered, 250, true},
		"offered, the certificate is strange":     {strange, secure, sender.TLSOffered, 250, true},
		"not offered":                             {options(), plain, sender.TLSOffered, 250, false},
		"refrained from":                          {options(), secure, sender.TLSNone, 250, false},
		"required and verified":                   {options(), secure, sender.TLSStart, 250, true},
		"required, the certificate is strange":    {strange, secure, sender.TLSStart, 451, false},
		"required, not offered":                   {options(), plain, sender.TLSStart, 451, false},
		"implicit on a port that greets in clear": {options(), plain, sender.TLSImplicit, 451, false},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(c.p.messages())
			j := job(text, "a@us.test", "b@d.test")
			h := c.p.at()
			h.TLS = c.mode
			j.Route = to(h)
			r := send(t, c.o, j)[0].Reply
			require.Equal(t, c.want, r.Code, r)
			if c.want != 250 {
				require.Len(t, c.p.messages(), before)
				return
			}
			m := c.p.messages()[before]
			require.Equal(t, c.tls, m.tls)
			require.Equal(t, "us.test", m.helo)
		})
	}
}

func TestOfferedTLSThatFailsIsGivenUp(t *testing.T) {
	host, port := hostile(t, dialogue(map[string]string{"EHLO": "250-hi\r\n250 starttls", "STARTTLS": "554 broken"}))
	j := job(text, "a@us.test", "b@d.test")
	j.Route = to(sender.Host{Name: host, Port: port})
	require.Equal(t, []int{250}, codes(send(t, options(), j)))
	j.Route = to(sender.Host{Name: host, Port: port, TLS: sender.TLSStart})
	require.Equal(t, []int{451}, codes(send(t, options(), j)))
}

func TestClearTextBehindSTARTTLSIsNotSeenInside(t *testing.T) {
	p := newPeer(t, func(s *smtp.Server) { s.TLSConfig = testcert.Server() })
	// A man in the middle adds an answer behind the peer's.
	host, port := hostile(t, func(c net.Conn, r *bufioReader) { injectBehindSTARTTLS(c, r, p) })
	j := job(text, "a@us.test", "b@d.test")
	j.Route = to(sender.Host{Name: host, Port: port, TLS: sender.TLSStart})
	require.NotEqual(t, 550, send(t, options(), j)[0].Reply.Code, "the injected 550 is not an answer to anything")
}

func TestLogin(t *testing.T) {
	p := newPeer(t, func(s *smtp.Server) { s.TLSConfig = testcert.Server() })
	j := job(text, "a@us.test", "b@d.test")
	j.Route = sender.Route{Hosts: []sender.Host{p.at()}, Auth: sender.Auth{User: "u", Password: "secret"}}
	require.Equal(t, []int{250}, codes(send(t, options(), j)))
	m := p.messages()[0]
	require.Equal(t, "u", m.user)
	require.True(t, m.tls, "a login makes TLS a must")

	j.Route.Auth.Password = "wrong"
	r := send(t, options(), j)[0].Reply
	require.True(t, r.Temporary(), "the mistake is in our configuration")
	require.NotContains(t, r.Error(), "wrong")
	require.NotContains(t, j.Route.Auth.String(), "wrong")

	plain := newPeer(t, nil)
	j.Route.Hosts = []sender.Host{plain.at()}
	require.Equal(t, []int{451}, codes(send(t, options(), j)), "no password in clear")
}

func TestInternationalMail(t *testing.T) {
	with := newPeer(t, func(s *smtp.Server) { s.EnableSMTPUTF8 = true })
	without := newPeer(t, nil)
	plainText := "Subject: hi\r\n\r\nhällo\r\n"
	utf8Text := "Subject: grüße\r\n\r\nhi\r\n"
	for name, c := range map[string]struct {
		p        *peer
		text     string
		from, to string
		want     int
		enhanced smtp.EnhancedCode
		sent     string
	}{
		"host with SMTPUTF8":          {with, utf8Text, "a@us.test", "jürgen@bücher.test", 250, smtp.EnhancedCode{2, 0, 0}, "jürgen@bücher.test"},
		"domain as A-labels":          {without, plainText, "a@us.test", "b@bücher.test", 250, smtp.EnhancedCode{2, 0, 0}, "b@xn--bcher-kva.test"},
		"local part without SMTPUTF8": {without, plainText, "a@us.test", "jürgen@d.test", 553, smtp.EnhancedCode{5, 6, 7}, ""},
		"sender without SMTPUTF8":     {without, plainText, "jürgen@us.test", "b@d.test", 550, smtp.EnhancedCode{5, 6, 7}, ""},
		"header without SMTPUTF8":     {without, utf8Text, "a@us.test", "b@d.test", 554, smtp.EnhancedCode{5, 6, 9}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(c.p.messages())
			j := job(c.text, c.from, c.to)
			j.Envelope.Options.UTF8 = true
			j.Route = to(c.p.at())
			r := send(t, options(), j)[0].Reply
			require.Equal(t, c.want, r.Code, r)
			require.Equal(t, c.enhanced, r.EnhancedCode())
			if c.want == 250 {
				require.Equal(t, c.sent, c.p.messages()[before].to[0])
			}
		})
	}
}

func TestBinaryContentBouncesTextGoesOn(t *testing.T) {
	p := newPeer(t, nil)
	for body, want := range map[string]int{text: 250, "a: b\r\n\r\n\x00\r\n": 554, "a: b\n\nc\n": 554, "a: b\r\n\r\n" + strings.Repeat("x", 1200) + "\r\n": 554} {
		j := job(body, "a@us.test", "b@d.test")
		j.Envelope.Options.Body = smtp.BodyBinaryMIME
		j.Route = to(p.at())
		require.Equal(t, []int{want}, codes(send(t, options(), j)), "%q", body)
	}
}

func TestRequireTLSIsPromisedOrBounced(t *testing.T) {
	with := newPeer(t, func(s *smtp.Server) { s.TLSConfig = testcert.Server(); s.EnableREQUIRETLS = true })
	without := newPeer(t, func(s *smtp.Server) { s.TLSConfig = testcert.Server() })
	plain := newPeer(t, nil)
	for p, want := range map[*peer]int{with: 250, without: 550, plain: 451} {
		j := job(text, "a@us.test", "b@d.test")
		j.Envelope.Options.RequireTLS = true
		j.Route = to(p.at())
		require.Equal(t, []int{want}, codes(send(t, options(), j)))
	}
}

func TestMXHostsAreTriedInOrder(t *testing.T) {
	p := newPeer(t, nil)
	dead, err := net.Listen("tcp", "127.0.0.2:"+port(p))
	require.NoError(t, err)
	dead.Close()
	o := options()
	o.Port, o.AllowPrivate = p.port, loopback
	o.Resolver = &resolvertest.Zone{
		MX: map[string][]net.MX{"d.test": {{Host: "second.test.", Pref: 20}, {Host: "gone.test.", Pref: 5}, {Host: "first.test.", Pref: 10}}},
		IP: map[string][]string{"first.test": {"127.0.0.2"}, "second.test": {"127.0.0.1"}},
	}
	results := send(t, o, job(text, "a@us.test", "b@d.test"))
	require.Equal(t, []int{250}, codes(results))
	require.Equal(t, "second.test", results[0].Host)
}

func TestCancelledSendReturnsAtOnceAndTemporary(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	host, port := hostile(t, func(c net.Conn, r *bufioReader) {
		cancel() // it has connected: now it is told to stop
		_, _ = r.ReadByte()
	})
	j := job(text, "a@us.test", "b@d.test")
	j.Route = to(sender.Host{Name: host, Port: port})
	results := sender.New(options()).Send(ctx, j)
	require.Equal(t, smtp.EnhancedCode{4, 3, 2}, results[0].Reply.EnhancedCode())
}

func TestUnixSocket(t *testing.T) {
	path := t.TempDir() + "/lmtp"
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	p := newPeer(t, func(s *smtp.Server) { s.LMTP = true })
	done := make(chan struct{})
	go func() { defer close(done); _ = p.Serve(l) }()
	t.Cleanup(func() { l.Close(); <-done })
	j := job(text, "a@us.test", "b@d.test")
	j.Route = sender.Route{Hosts: []sender.Host{{Name: path}}, Protocol: sender.LMTP}
	require.Equal(t, []int{250}, codes(send(t, options(), j)))
}
