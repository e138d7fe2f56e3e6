package smtp

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/proxy"
)

// tellingRouter routes a@d.test to a back end that is told of clients.
func tellingRouter(way mapping.Route, how proxy.Tell) *Router {
	r := newRouter(routes{"a@d.test": way})
	r.Front.Backends = func(mapping.Route) proxy.Backend { return proxy.Backend{Tell: how, Connect: time.Second} }
	return r
}

// handleFrom has a router handle a message of a session.
func handleFrom(r *Router, s Session) error {
	m := &Message{ID: "i", Session: &s, Body: message.FromBytes([]byte("x\r\n"))}
	m.Envelope.Recipients = []mail.Recipient{{To: mail.MustParseAddress("a@d.test")}}
	return r.Handle(context.Background(), m)
}

func TestP23XCLIENTSaysWhatIsAnnouncedWithinItsLimits(t *testing.T) {
	h := &heard{}
	way := scripted(t, script{greeting: "220 hi", extensions: []string{"XCLIENT NAME ADDR PORT PROTO HELO LOGIN TTL", "xclient-not DESTADDR"}, heard: h})
	s := Session{
		ID: "s1", Remote: netip.MustParseAddrPort("[2001:db8::1%eth0]:4321"), Local: netip.MustParseAddrPort("192.0.2.1:25"),
		Helo: "client.example", ESMTP: true, User: "alice",
	}
	require.NoError(t, handleFrom(tellingRouter(way, proxy.TellXCLIENT), s))
	require.Equal(t, []string{
		"LHLO front.example.test",
		"XCLIENT NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::1 PORT=4321 HELO=client.example PROTO=ESMTP TTL=6",
		"LHLO client.example",
		"MAIL FROM:<>", "RCPT TO:<a@d.test>", "DATA", ".",
	}, h.all()[:7])
}

func TestP23XCLIENTIsNotSaidWhereItIsNotAnnouncedOrNotConfigured(t *testing.T) {
	for how, extensions := range map[proxy.Tell][]string{proxy.TellXCLIENT: nil, 0: {"XCLIENT ADDR HELO"}} {
		h := &heard{}
		way := scripted(t, script{greeting: "220 hi", extensions: extensions, heard: h})
		require.NoError(t, handleFrom(tellingRouter(way, how), Session{Remote: netip.MustParseAddrPort("192.0.2.7:1"), Helo: "client.example"}))
		for _, line := range h.all() {
			require.NotContains(t, line, "XCLIENT")
			require.NotContains(t, line, "client.example")
		}
	}
}

func TestP23XCLIENTIsSplitAndEncoded(t *testing.T) {
	long := strings.Repeat("h", 255)
	all := []attribute{{"ADDR", "192.0.2.1"}, {"HELO", long}, {"NAME", long}, {"PROTO", "a b+c=d\r\nüx"}, {"SESSION", strings.Repeat("ü", 200)}}
	lines := xclient([]string{"HELO", "NAME", "PROTO", "SESSION"}, all)
	require.Equal(t, []string{"XCLIENT HELO=" + long, "XCLIENT NAME=" + long + " PROTO=a+20b+2Bc+3Dd+0D+0A+C3+BCx"}, lines)
	for _, line := range lines {
		require.LessOrEqual(t, len(line)+2, 512)
	}
	require.Empty(t, xclient(nil, all))
}

func TestX03LOGINIsNeverTold(t *testing.T) {
	for _, protocol := range []Protocol{ESMTP, Submission, LMTP} {
		h := &heard{}
		way := scripted(t, script{greeting: "220 hi", extensions: []string{"XCLIENT LOGIN ADDR"}, heard: h})
		s := Session{Protocol: protocol, Remote: netip.MustParseAddrPort("192.0.2.7:1"), User: "alice"}
		if err := handleFrom(tellingRouter(way, proxy.TellXCLIENT), s); protocol != LMTP {
			require.NoError(t, err)
		}
		require.Contains(t, strings.Join(h.all(), "\n"), "XCLIENT ADDR=192.0.2.7\n")
		require.NotContains(t, strings.Join(h.all(), "\n"), "LOGIN")
	}
}

func TestX02WhatAClientSaysOfItselfIsNotPassedOn(t *testing.T) {
	h := &heard{}
	way := scripted(t, script{greeting: "220 hi", extensions: []string{"XCLIENT ADDR NAME"}, heard: h})
	say(t, routing(ESMTP, tellingRouter(way, proxy.TellXCLIENT)), strings.Replace(ehloToRcpt, "C: MAIL", "C: XCLIENT ADDR=192.0.2.66\nS~ 5.*\nC: MAIL", 1)+
		"C: RCPT TO:<a@d.test>\nS~ 250 .*\n"+content+"S~ 250 .*\n")
	require.Contains(t, h.all(), "XCLIENT NAME=[UNAVAILABLE] ADDR=127.0.0.1")
	require.NotContains(t, strings.Join(h.all(), "\n"), "192.0.2.66")
}

func TestS28AClientsNameIsAWordAtTheBackEnd(t *testing.T) {
	for _, name := range []string{"", "a\r\nb", "a b", "ü.example", "\x1b[31m", "a%b", `a"b`} {
		require.Equal(t, "front", ehloName(name, "front"))
	}
	for _, name := range []string{"a.example", "[192.0.2.1]", "[IPv6:2001:db8::1]", "under_score"} {
		require.Equal(t, name, ehloName(name, "front"))
	}
}

// bad are back ends that fail before a message can be theirs, beside what those
// of all protocols may do (TestFaultMatrix in package proxy).
var bad = map[string]script{
	"refuses in the greeting":    {greeting: "554 go away"},
	"codes that differ":          {greeting: "220-hi\n221 hi"},
	"8-bit greeting of nonsense": {greeting: "\xff\xfe\x00"},
	"closes at EHLO":             {greeting: "220 hi", until: "EHLO"},
	"silent at EHLO":             {greeting: "220 hi", silent: "EHLO"},
	"refuses EHLO":               {greeting: "220 hi", answers: map[string]string{"EHLO": "502 no", "HELO": "421 no"}},
	"refuses XCLIENT":            {greeting: "220 hi", extensions: []string{"XCLIENT ADDR"}, answers: map[string]string{"XCLIENT": "550 no"}},
	"closes at XCLIENT":          {greeting: "220 hi", extensions: []string{"XCLIENT ADDR"}, until: "XCLIENT"},
	"silent at XCLIENT":          {greeting: "220 hi", extensions: []string{"XCLIENT ADDR"}, silent: "XCLIENT"},
}

// worse are back ends that fail later.
var worse = map[string]script{
	"silent at RCPT":         {greeting: "220 hi", silent: "RCPT"},
	"closes at DATA":         {greeting: "220 hi", until: "DATA"},
	"refuses DATA":           {greeting: "220 hi", answers: map[string]string{"DATA": "451 no"}},
	"nonsense at DATA":       {greeting: "220 hi", answers: map[string]string{"DATA": "999 what"}},
	"silent after the data":  {greeting: "220 hi", silent: "."},
	"nonsense for an answer": {greeting: "220 hi", answers: map[string]string{".": "hello"}},
}

func TestX05P37ABackEndThatFailsIsATemporaryRefusalWithinTheBudget(t *testing.T) {
	all := map[string]script{}
	for _, of := range []map[string]script{bad, worse} {
		for name, s := range of {
			all[name] = s
		}
	}
	for name, s := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := tellingRouter(scripted(t, s), proxy.TellXCLIENT)
			r.Speak = func(mapping.Route) proxy.Protocol { return proxy.SMTP }
			r.Timeouts.Command, r.Timeouts.DataEnd = time.Second, time.Second
			say(t, routing(ESMTP, r), ehloToRcpt+"C: RCPT TO:<a@d.test>\nS~ 250 .*\n"+content+"S~ 451 4\\..*\n")
		})
	}
}

// FuzzS33BackEndReply proves that whatever a back end says is read within
// bounds, and never taken for more than one reply.
func FuzzS33BackEndReply(f *testing.F) {
	for _, s := range []string{"220 hi\r\n", "250-a\r\n250 b\r\n", "250\r\n", "2", "250-a\n250-b\n", "25x\r\n", "250_a\r\n", "\xff\r\n", "999 a\r\n", "250-a\r\n251 b\r\n", strings.Repeat("250-a\r\n", 200)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		near, far := net.Pipe()
		defer near.Close()
		go func() {
			_, _ = far.Write(said)
			far.Close()
		}()
		r, err := (&hop{link: &proxy.Link{Conn: wire.New(near, wire.Timeouts{})}}).read()
		if err != nil {
			return
		}
		require.True(t, r.code >= 200 && r.code <= 599)
		require.NotEmpty(t, r.lines)
		require.LessOrEqual(t, len(r.lines), maxHopLines)
		for _, line := range r.lines {
			require.LessOrEqual(t, len(line), maxHopLine)
			require.NotContains(t, line, "\n")
		}
		require.NotContains(t, r.Error(), "\n")
	})
}
