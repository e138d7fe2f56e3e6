package smtp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	gosmtp "github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/dialogue"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/proxy"
	"github.com/posthouse-mail/posthouse/queue"
	"github.com/posthouse-mail/posthouse/smtp/sender"
)

// routes is a Mapper of a few names. A zero Route is a map that is down.
type routes map[string]mapping.Route

func (r routes) Map(_ context.Context, user string) (mapping.Route, error) {
	name, _ := mapping.NormalName(user)
	to, ok := r[name]
	switch {
	case !ok:
		return to, mapping.ErrNotMapped
	case to == mapping.Route{}:
		return to, mapping.ErrUnavailable
	}
	return to, nil
}

// to is the route to an address, in clear text.
func to(t testing.TB, address string) mapping.Route {
	t.Helper()
	ap, err := netip.ParseAddrPort(address)
	require.NoError(t, err)
	return mapping.Route{Host: ap.Addr().String(), Port: int(ap.Port()), TLS: mapping.TLSNone}
}

// backend serves a back end that keeps what it gets in a box.
func backend(t testing.TB, p Protocol, answer func(*Message) error) (*box, mapping.Route) {
	b := &box{answer: answer}
	s := newServer(b)
	s.Protocol, s.Hostname = p, "back.example.test"
	return b, to(t, start(t, s))
}

// newRouter routes mail for d.test.
func newRouter(m mapping.Mapper) *Router {
	return &Router{
		Front:    &proxy.Front{Mapper: m, Logger: quiet},
		Local:    func(_ context.Context, domain string) (bool, error) { return domain == "d.test", nil },
		Hostname: "front.example.test",
		Logger:   quiet,
	}
}

// routing is a server on a front end.
func routing(p Protocol, r *Router) *Server {
	s := newServer(r)
	s.Protocol, s.Auth, s.Hooks = p, nil, []Hooks{r.Hooks()}
	return s
}

// memory is a queue that only takes.
type memory struct {
	queue.Queue
	mu   sync.Mutex
	put  []kept
	fail error
}

func (q *memory) Put(_ context.Context, m *queue.Message) (queue.ID, error) {
	text, err := io.ReadAll(message.NewReader(m.Body))
	if err != nil || q.fail != nil {
		return 0, errors.Join(err, q.fail)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.put = append(q.put, kept{Message: Message{Envelope: m.Envelope}, text: string(m.Prefix) + string(text)})
	return queue.ID(len(q.put)), nil
}

func recipientsOf(k kept) (names []string) {
	for _, r := range k.Envelope.Recipients {
		names = append(names, r.To.String())
	}
	return names
}

const ehloToRcpt = `S~ 220 .*
C: EHLO client.example
S~ 250-mx.example.test
S~ 250-STARTTLS
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
C: MAIL FROM:<s@other.test>
S~ 250 .*
`

var lhloToRcpt = strings.Replace(ehloToRcpt, "EHLO", "LHLO", 1)

const content = `C: DATA
S~ 354 .*
C: Subject: x
C:
C: hello
C: .
`

func TestP44R34141ThreeBackEndsAreThreeLegsWithAnAnswerPerRecipient(t *testing.T) {
	one, first := backend(t, LMTP, nil)
	two, second := backend(t, LMTP, func(m *Message) error {
		return RecipientErrors{nil, mail.Errorf(452, [3]int{4, 2, 2}, "Over quota")}
	})
	dead := first
	dead.Port = freePort(t)
	r := newRouter(routes{"a@d.test": first, "b@d.test": second, "c@d.test": dead, "d@d.test": second, "e@d.test": first})
	say(t, routing(LMTP, r), lhloToRcpt+`C: RCPT TO:<a@d.test>
C: RCPT TO:<b@d.test>
C: RCPT TO:<c@d.test>
C: RCPT TO:<d@d.test>
C: RCPT TO:<e@d.test>
S~ 250 .*
S~ 250 .*
S~ 250 .*
S~ 250 .*
S~ 250 .*
`+content+`S~ 250 2.0.0 Accepted as .*
S~ 250 2.0.0 Accepted as .*
S: 451 4.4.1 The recipient's mail host is not available, please try again later
S: 452 4.2.2 Over quota
S~ 250 2.0.0 Accepted as .*
C: QUIT
S~ 221 .*
`)
	require.Equal(t, []string{"a@d.test", "e@d.test"}, recipientsOf(one.only(t)))
	require.Equal(t, []string{"b@d.test", "d@d.test"}, recipientsOf(two.only(t)))
	require.Contains(t, one.only(t).text, "hello\r\n")
	require.Equal(t, "front.example.test", one.only(t).facts.Helo)
}

func freePort(t testing.TB) int {
	l := listen(t)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestP45UnmappedIsRefusedAtRCPTAndAMapThatIsDownPutsOff(t *testing.T) {
	_, first := backend(t, LMTP, nil)
	r := newRouter(routes{"a@d.test": first, "down@d.test": {}})
	r.Local = func(_ context.Context, domain string) (bool, error) {
		if domain == "unsure.test" {
			return false, io.ErrUnexpectedEOF
		}
		return domain == "d.test", nil
	}
	for p, greeting := range map[Protocol]string{ESMTP: ehloToRcpt, LMTP: lhloToRcpt} {
		say(t, routing(p, r), greeting+`C: RCPT TO:<nobody@d.test>
S: 550 5.1.1 No such user here
C: RCPT TO:<down@d.test>
S: 451 4.4.3 Recipients can't be looked up now, please try again later
C: RCPT TO:<x@unsure.test>
S: 451 4.4.3 Recipients can't be looked up now, please try again later
C: RCPT TO:<x@elsewhere.test>
S: 550 5.7.1 Relaying is not allowed here
C: RCPT TO:<A@D.test.>
S: 250 2.1.5 Recipient OK
`)
	}
}

func TestP46R34141NothingIsDeliveredHereWhileRoutingIsOn(t *testing.T) {
	one, first := backend(t, LMTP, nil)
	elsewhere := &box{}
	r := newRouter(routes{"a@d.test": first})
	r.Foreign, r.Relay, r.Queue = elsewhere, anyone, &memory{}
	say(t, routing(ESMTP, r), ehloToRcpt+`C: RCPT TO:<a@d.test>
S~ 250 .*
C: RCPT TO:<unmapped@d.test>
S~ 550 5.1.1 .*
C: RCPT TO:<x@elsewhere.test>
S~ 250 .*
`+content+`S~ 250 2.0.0 Accepted as .*
`)
	require.Equal(t, []string{"a@d.test"}, recipientsOf(one.only(t)))
	require.Equal(t, []string{"x@elsewhere.test"}, recipientsOf(elsewhere.only(t)))
}

func TestS18NoLocalPartIsARoute(t *testing.T) {
	_, first := backend(t, LMTP, nil)
	r := newRouter(routes{"a@d.test": first})
	r.Foreign = &box{}
	r.Relay = func(context.Context, *Session, *mail.Envelope, *mail.Recipient) error { return nil }
	refused := newRouter(r.Front.Mapper)
	for _, address := range []string{"user%foreign.test@d.test", "foreign.test!user@d.test", `"user@foreign.test"@d.test`, "@d.test:user@d.test"} {
		say(t, routing(ESMTP, r), ehloToRcpt+"C: RCPT TO:<"+address+">\nS~ 550 5.1.1 .*\n")
	}
	for _, address := range []string{"@d.test:user@foreign.test", "a@d.test.foreign.test", "a@[192.0.2.1]"} {
		say(t, routing(ESMTP, refused), ehloToRcpt+"C: RCPT TO:<"+address+">\nS~ 550 5.7.1 .*\n")
	}
}

// toAll names recipients on three back ends.
const toAll = `C: RCPT TO:<a@d.test>
C: RCPT TO:<b@d.test>
C: RCPT TO:<c@d.test>
S~ 250 .*
S~ 250 .*
S~ 250 .*
`

// TestP44WithoutAQueueTheStrictestRefusalIsTheAnswer: who sends again, as a
// temporary refusal asks for, sends no duplicates.
func TestP44WithoutAQueueTheStrictestRefusalIsTheAnswer(t *testing.T) {
	for name, speak := range map[string]proxy.Protocol{"LMTP": proxy.LMTP, "SMTP": proxy.SMTP} {
		t.Run(name, func(t *testing.T) {
			var refusal error
			p := LMTP
			if speak == proxy.SMTP {
				p = ESMTP
			}
			one, first := backend(t, p, nil)
			two, second := backend(t, p, func(*Message) error { return refusal })
			three, third := backend(t, p, nil)
			r := newRouter(routes{"a@d.test": first, "b@d.test": second, "c@d.test": third})
			r.Speak = func(mapping.Route) proxy.Protocol { return speak }
			server := routing(ESMTP, r)
			refusal = mail.Errorf(452, [3]int{4, 2, 2}, "Over quota")
			say(t, server, ehloToRcpt+toAll+content+"S: 452 4.2.2 Over quota\nC: MAIL FROM:<s@other.test>\nS~ 250 .*\n"+toAll+content+"S: 452 4.2.2 Over quota\n")
			require.Len(t, one.all(), 1)
			require.Len(t, three.all(), 1)

			refusal = nil
			say(t, server, ehloToRcpt+toAll+content+"S~ 250 2.0.0 Accepted as .*\n")
			one.only(t)
			require.Len(t, two.all(), 3, "refused twice, and taken")
			three.only(t)
			say(t, server, ehloToRcpt+toAll+"C: DATA\nS~ 354 .*\nC: Subject: another\nC: \nC: x\nC: .\nS~ 250 2.0.0 Accepted as .*\n")
			require.Len(t, one.all(), 2, "another message is another")

			refusal = mail.Errorf(550, [3]int{5, 7, 1}, "Spam")
			say(t, server, ehloToRcpt+toAll+"C: DATA\nS~ 354 .*\nC: Subject: spam\nC: \nC: x\nC: .\nS: 550 5.7.1 The others have the message, but for some: Spam\n")
			require.Len(t, one.all(), 3)
		})
	}
}

func TestP37WithAQueueWhatABackEndDoesNotAcceptIsQueued(t *testing.T) {
	one, first := backend(t, LMTP, nil)
	_, second := backend(t, LMTP, func(*Message) error { return mail.Errorf(550, [3]int{5, 7, 1}, "Spam") })
	killed := scripted(t, script{greeting: "220 hi", until: "DATA"})
	q := &memory{}
	r := newRouter(routes{"a@d.test": first, "b@d.test": second, "c@d.test": killed})
	r.Queue = q
	say(t, routing(ESMTP, r), ehloToRcpt+`C: RCPT TO:<a@d.test>
C: RCPT TO:<b@d.test>
C: RCPT TO:<c@d.test>
S~ 250 .*
S~ 250 .*
S~ 250 .*
`+content+`S~ 250 2.0.0 Accepted as .*
`)
	require.Len(t, q.put, 1)
	require.Equal(t, []string{"b@d.test", "c@d.test"}, recipientsOf(q.put[0]))
	require.Contains(t, q.put[0].text, "hello\r\n")
	require.Len(t, one.all(), 1)

	q.fail = queue.ErrFull
	say(t, routing(ESMTP, r), ehloToRcpt+`C: RCPT TO:<a@d.test>
C: RCPT TO:<c@d.test>
S~ 250 .*
S~ 250 .*
`+content+`S~ 451 4.4.2 .*
`)
	say(t, routing(ESMTP, r), ehloToRcpt+`C: RCPT TO:<b@d.test>
C: RCPT TO:<c@d.test>
S~ 250 .*
S~ 250 .*
`+content+`S~ 451 4.4.2 .*
`) // nobody got it: the client keeps it
}

func TestWithAQueueADownBackEndsMailIsAcceptedAndWhatIsRefusedForGoodIsNot(t *testing.T) {
	_, spam := backend(t, LMTP, func(*Message) error { return mail.Errorf(550, [3]int{5, 7, 1}, "Spam") })
	q := &memory{}
	l := listen(t)
	require.NoError(t, l.Close())
	r := newRouter(routes{"a@d.test": to(t, l.Addr().String()), "b@d.test": spam})
	r.Queue = q
	mailFor := func(recipients ...string) (text string) {
		text = ehloToRcpt
		for _, name := range recipients {
			text += "C: RCPT TO:<" + name + "@d.test>\nS~ 250 .*\n"
		}
		return text + content
	}
	say(t, routing(ESMTP, r), mailFor("b")+"S: 550 5.7.1 Spam\n")
	require.Empty(t, q.put)
	say(t, routing(ESMTP, r), mailFor("a")+"S~ 250 2.0.0 Accepted as .*\n")
	require.Len(t, q.put, 1)
	require.Equal(t, []string{"a@d.test"}, recipientsOf(q.put[0]))
	say(t, routing(ESMTP, r), mailFor("a", "b")+"S~ 250 2.0.0 Accepted as .*\n")
	require.Len(t, q.put, 2)
	require.Equal(t, []string{"a@d.test", "b@d.test"}, recipientsOf(q.put[1]))
	say(t, routing(LMTP, r), strings.Replace(mailFor("a"), ehloToRcpt, lhloToRcpt, 1)+"S~ 451 4.4.1 .*\n") // the client is a queue itself
	require.Len(t, q.put, 2)
}

func TestP48AReceivedFieldPerHopEndsACircle(t *testing.T) {
	var front [2]*Server
	var at [2]string
	m := [2]routes{{}, {}}
	for i := range front {
		r := newRouter(m[i])
		r.Speak = func(mapping.Route) proxy.Protocol { return proxy.SMTP }
		front[i] = routing(ESMTP, r)
		front[i].Limits.ReceivedHops = 6
		at[i] = start(t, front[i])
	}
	m[0]["a@d.test"], m[1]["a@d.test"] = to(t, at[1]), to(t, at[0])
	b, last := backend(t, ESMTP, nil)
	m[0]["b@d.test"], m[1]["b@d.test"] = to(t, at[1]), last
	text := ehloToRcpt + "C: RCPT TO:<%@d.test>\nS~ 250 .*\n" + content
	dialogue.Play(t, dial(t, at[0]), "circle", strings.Replace(text, "%", "a", 1)+"S: 554 5.4.6 Too many Received fields: a mail loop\n")
	dialogue.Play(t, dial(t, at[0]), "row", strings.Replace(text, "%", "b", 1)+"S~ 250 .*\n")
	got := b.only(t)
	require.Equal(t, 2, strings.Count(got.text, "Received: "))
	require.Equal(t, 1, strings.Count(string(got.Trace), "Received: "))
}

func TestX04ACircleIsRefused(t *testing.T) {
	_, first := backend(t, LMTP, nil)
	r := newRouter(routes{"a@d.test": first})
	r.Front.Own = func(_ string, port int) bool { return port == first.Port }
	say(t, routing(LMTP, r), lhloToRcpt+"C: RCPT TO:<a@d.test>\nS~ 250 .*\n"+content+"S: 554 5.4.6 Mail for this recipient goes in a circle\n")
}

func TestX11AUserWhoMovesMeanwhileIsPutOff(t *testing.T) {
	one, first := backend(t, LMTP, nil)
	two, second := backend(t, LMTP, nil)
	asked := 0
	r := newRouter(mapping.MapperFunc(func(context.Context, string) (mapping.Route, error) {
		if asked++; asked > 2 {
			return second, nil
		}
		return first, nil
	}))
	say(t, routing(LMTP, r), lhloToRcpt+"C: RCPT TO:<a@d.test>\nS~ 250 .*\n"+content+"S~ 451 4.4.1 .*\n")
	require.Empty(t, append(one.all(), two.all()...))
}

func TestARouteNamesTheUserAtTheBackEnd(t *testing.T) {
	b, first := backend(t, LMTP, nil)
	alias, bare, bad := first, first, first
	alias.User, bare.User, bad.User = "alice@inside.test", "u17", "x y"
	r := newRouter(routes{"a@d.test": alias, "b@d.test": bare, "c@d.test": bad, "postmaster": alias})
	say(t, routing(LMTP, r), lhloToRcpt+`C: RCPT TO:<a@d.test>
C: RCPT TO:<b@d.test> ORCPT=rfc822;orig@x.test
C: RCPT TO:<c@d.test>
C: RCPT TO:<Postmaster>
S~ 250 .*
S~ 250 .*
S~ 250 .*
S~ 250 .*
`+content+"S~ 250 .*\nS~ 250 .*\nS~ 250 .*\nS~ 250 .*\n")
	got := b.only(t)
	require.Equal(t, []string{"alice@inside.test", "u17@d.test", "c@d.test"}, recipientsOf(got)) // the postmaster is alice
	require.Equal(t, "a@d.test", got.Envelope.Recipients[0].Options.OriginalRecipient)
	require.Equal(t, "orig@x.test", got.Envelope.Recipients[1].Options.OriginalRecipient)
}

func TestS15ARouteInjectsNothing(t *testing.T) {
	for _, name := range []string{"x@d.test>\r\nRCPT TO:<y@d.test", "x\r\n", "<x>", "x@d.test NOTIFY=NEVER"} {
		r := renamed(mail.Recipient{To: mail.MustParseAddress("a@d.test")}, name)
		require.Equal(t, "a@d.test", r.To.String())
	}
}

// onward is a sender for other domains.
type onward struct{ jobs []*sender.Job }

func (o *onward) Send(_ context.Context, j *sender.Job) []sender.Result {
	o.jobs = append(o.jobs, j)
	results := make([]sender.Result, len(j.Envelope.Recipients))
	for i := range results {
		results[i].Reply = mail.Errorf(250, [3]int{2, 0, 0}, "sent")
	}
	return results
}

func TestTheQueuesMailGoesTheSameWays(t *testing.T) {
	b := &box{}
	s := newLMTP(b)
	s.Without = []string{"DSN"}
	r := tellingRouter(to(t, start(t, s)), proxy.TellXCLIENT|proxy.TellPROXY)
	m := r.Front.Mapper.(routes)
	m["down@d.test"] = mapping.Route{}
	r.Front.Backends = nil
	j := &sender.Job{ID: "7", Body: message.FromBytes([]byte("x\r\n"))}
	for _, address := range []string{"x@y.test", "a@d.test", "down@d.test", "gone@d.test"} {
		j.Envelope.Recipients = append(j.Envelope.Recipients, mail.Recipient{To: mail.MustParseAddress(address)})
	}
	j.Envelope.Recipients[1].Options.Notify = []gosmtp.DSNNotify{gosmtp.DSNNotifySuccess}
	codes := func() (codes []int) {
		for _, result := range r.Send(t.Context(), j) {
			codes = append(codes, result.Reply.Code)
			require.False(t, result.DSN) // the processor reports
		}
		return codes
	}
	require.Equal(t, []int{451, 250, 451, 550}, codes())
	o := &onward{}
	r.Onward = o
	require.Equal(t, []int{250, 250, 451, 550}, codes())
	require.Len(t, o.jobs, 1)
	require.Len(t, o.jobs[0].Envelope.Recipients, 1)
	require.Len(t, b.all(), 2)
	require.Equal(t, "x\r\n", b.all()[0].text)
}
