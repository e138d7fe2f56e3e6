package smtp

import (
	"context"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/dialogue"
	"github.com/posthouse-mail/posthouse/internal/testcert"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/proxy"
)

func TestP47TheEnvelopeIsCarriedAcross(t *testing.T) {
	b := &box{}
	s := newServer(b)
	s.Protocol, s.KeepsTLS, s.Auth = LMTP, true, nil
	way := to(t, start(t, s))
	way.TLS = mapping.TLSStart
	r := newRouter(routes{"jürgen@d.test": way})
	r.Front.Backends = func(mapping.Route) proxy.Backend { return proxy.Backend{TLSConfig: testcert.Client()} }
	f := routing(LMTP, r)
	f.KeepsTLS = true
	say(t, f, `S~ 220 .*
C: LHLO c
S~ 250-.*
S: 250-STARTTLS
S~ 250-PIPELINING
S~ 250-SIZE .*
S~ 250-ENH.*
S~ 250-8BITMIME
S~ 250-SMTPUTF8
S~ 250-CHUNKING
S~ 250-BINARYMIME
S~ 250-DSN
S~ 250-LIMITS .*
S~ 250 HELP
C: MAIL FROM:<s@other.test> REQUIRETLS
S~ 555 .*
C: STARTTLS
S~ 220 .*
TLS
C: LHLO c
S~ 250-.*
S: 250-REQUIRETLS
S~ 250-PIPELINING
S~ 250-SIZE .*
S~ 250-ENH.*
S~ 250-8BITMIME
S~ 250-SMTPUTF8
S~ 250-CHUNKING
S~ 250-BINARYMIME
S~ 250-DSN
S~ 250-LIMITS .*
S~ 250 HELP
C: MAIL FROM:<sören@other.test> REQUIRETLS SMTPUTF8 BODY=BINARYMIME RET=HDRS ENVID=e+2B1 SIZE=30
S~ 250 .*
C: RCPT TO:<jürgen@d.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;o+2B@x.test
S~ 250 .*
C! "BDAT 21 LAST\r\nX: y\r\n\r\na\rb\nc\x00\xff...\r\n."
S~ 250 .*
`)
	got := b.only(t)
	require.True(t, got.facts.Secure())
	o := got.Envelope.Options
	require.Equal(t, "sören@other.test", got.Envelope.From.String())
	require.True(t, o.UTF8 && o.RequireTLS)
	require.EqualValues(t, "BINARYMIME", o.Body)
	require.EqualValues(t, "HDRS", o.Return)
	require.Equal(t, "e+1", o.EnvelopeID)
	require.EqualValues(t, len(got.text), o.Size)
	to := got.Envelope.Recipients[0]
	require.Equal(t, "jürgen@d.test", to.To.String())
	require.Len(t, to.Options.Notify, 2)
	require.Equal(t, "o+@x.test", to.Options.OriginalRecipient)
	require.True(t, strings.HasSuffix(got.text, "X: y\r\n\r\na\rb\nc\x00\xff...\r\n."))
}

func TestP47WhatAHopCantCarryIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ without, from, to, text, answer string }{
		"8-bit":   {"8BITMIME", "", "", "ü", "554 5.6.3 The mail host can't take content of 8 bits"},
		"success": {"DSN", "", " NOTIFY=SUCCESS", "x", "550 5.3.3 The mail host can't report a delivery"},
		"utf8":    {"SMTPUTF8", " SMTPUTF8", "", "x\nC: Subject: ü", "554 5.6.9 The mail host can't take internationalized header fields"},
		"size":    {"", "", "", strings.Repeat("x", 900), "552 5.3.4 The message is larger than the mail host accepts"},
	} {
		t.Run(name, func(t *testing.T) {
			b := &box{}
			s := newServer(b)
			s.Protocol, s.Without, s.Limits.MessageSize = LMTP, []string{c.without}, 800
			r := newRouter(routes{"a@d.test": to(t, start(t, s))})
			text := strings.Replace(lhloToRcpt, "other.test>", "other.test>"+c.from, 1) + "C: RCPT TO:<a@d.test>" + c.to + "\nS~ 250 .*\n" + content
			say(t, routing(LMTP, r), strings.Replace(text, "Subject: x", "X: "+c.text, 1)+"S: "+c.answer+"\n")
			require.Empty(t, b.all())
		})
	}
	_, first := backend(t, LMTP, nil)
	f := routing(LMTP, newRouter(routes{"a@d.test": first}))
	f.Without = []string{"dsn", "SMTPUTF8", "BINARYMIME"}
	say(t, f, `S~ 220 .*
C: LHLO c
S~ 250-.*
S~ 250-STARTTLS
S~ 250-PIPELINING
S~ 250-SIZE .*
S~ 250-ENH.*
S~ 250-8BITMIME
S~ 250-CHUNKING
S~ 250-LIMITS .*
S~ 250 HELP
C: MAIL FROM:<a@d.test> SMTPUTF8
S~ 555 .*
C: MAIL FROM:<a@d.test> RET=FULL
S~ 555 .*
C: MAIL FROM:<a@d.test> BODY=BINARYMIME
S~ 555 .*
C: MAIL FROM:<a@d.test> BODY=8BITMIME
S~ 250 .*
C: RCPT TO:<a@d.test> NOTIFY=NEVER
S~ 555 .*
`)
}

func TestP47REQUIRETLSIsNotSentInClear(t *testing.T) {
	b, first := backend(t, LMTP, nil)
	r := newRouter(routes{"a@d.test": first})
	m := &Message{ID: "i", Session: &Session{Protocol: LMTP}, Body: message.FromBytes([]byte("x\r\n"))}
	m.Envelope.Options.RequireTLS = true
	m.Envelope.Recipients = []mail.Recipient{{To: mail.MustParseAddress("a@d.test")}}
	err := r.Handle(context.Background(), m)
	var each RecipientErrors
	require.ErrorAs(t, err, &each)
	require.ErrorIs(t, each[0], errLegTLS)
	require.Empty(t, b.all())
}

func TestP27BothTiersCallASessionTheSame(t *testing.T) {
	b := &box{}
	s := newLMTP(b)
	s.Fronts = netip.Addr.IsLoopback
	r := tellingRouter(to(t, start(t, s)), proxy.TellXCLIENT)
	var at Session
	f := routing(LMTP, r)
	f.Hooks = append(f.Hooks, Hooks{Data: func(_ context.Context, m *Message) error { at = *m.Session; return nil }})
	say(t, f, lhloToRcpt+"C: RCPT TO:<a@d.test>\nS~ 250 .*\n"+content+"S~ 250 .*\n")
	got := b.only(t).facts
	require.Equal(t, at.ID, got.ID)
	require.Equal(t, at.Remote, got.Remote)
	require.Equal(t, at.Local, got.Local)
	require.Equal(t, "client.example", got.Helo)
	require.Equal(t, proxy.MaxHops-1, got.Hops)
}

func TestX04TwoFrontEndsThatSendToEachOtherSoonStop(t *testing.T) {
	var at [2]string
	var asked atomic.Int32
	m := [2]routes{{}, {}}
	for i := range at {
		r := newRouter(m[i])
		r.Front.Backends = func(mapping.Route) proxy.Backend { return proxy.Backend{Tell: proxy.TellXCLIENT} }
		r.Speak = func(mapping.Route) proxy.Protocol { return proxy.SMTP }
		f := routing(ESMTP, r)
		f.Fronts = netip.Addr.IsLoopback
		f.Hooks = append(f.Hooks, Hooks{Data: func(context.Context, *Message) error { asked.Add(1); return nil }})
		at[i] = start(t, f)
	}
	m[0]["a@d.test"], m[1]["a@d.test"] = to(t, at[1]), to(t, at[0])
	c := strings.Replace(ehloToRcpt, "S~ 250-STARTTLS\n", "S~ 250-STARTTLS\nS~ 250-XCLIENT .*\n", 1)
	dialogue.Play(t, dial(t, at[0]), t.Name(), c+"C: RCPT TO:<a@d.test>\nS~ 250 .*\n"+content+"S~ 554 5.4.6 .*\n")
	require.LessOrEqual(t, int(asked.Load()), proxy.MaxHops)
}
