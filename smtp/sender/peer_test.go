package sender_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	smtp "github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/posthouse-mail/posthouse/internal/testcert"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/resolver/resolvertest"
	"github.com/posthouse-mail/posthouse/smtp/sender"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// got is a message that a peer took.
type got struct {
	from     string
	options  smtp.MailOptions
	to       []string
	toOption []smtp.RcptOptions
	data     string
	helo     string
	tls      bool
	user     string
}

// peer is a well-behaved remote host whose answers can be scripted.
type peer struct {
	*smtp.Server
	host string // 127.0.0.1
	port int

	mu     sync.Mutex
	taken  []got
	refuse map[string]error // "MAIL", "DATA", or a recipient, to its answer
}

func newPeer(t testing.TB, change func(*smtp.Server)) *peer {
	p := &peer{refuse: make(map[string]error)}
	p.Server = smtp.NewServer(p)
	p.Domain = "peer.test"
	p.ErrorLog = quiet{}
	p.EnableDSN = true
	if change != nil {
		change(p.Server)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p.host, p.port = split(t, l.Addr())
	done := make(chan struct{})
	go func() { defer close(done); _ = p.Serve(l) }()
	t.Cleanup(func() { p.Close(); <-done })
	return p
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

func split(t testing.TB, a net.Addr) (host string, port int) {
	host, text, err := net.SplitHostPort(a.String())
	require.NoError(t, err)
	port, err = strconv.Atoi(text)
	require.NoError(t, err)
	return host, port
}

func (p *peer) at() sender.Host { return sender.Host{Name: p.host, Port: p.port} }

func (p *peer) messages() []got {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]got(nil), p.taken...)
}

func (p *peer) answer(what string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refuse[what]
}

func (p *peer) NewSession(c *smtp.Conn) (smtp.Session, error) {
	_, secure := c.TLSConnectionState()
	return &peerSession{peer: p, got: got{helo: c.Hostname(), tls: secure}}, nil
}

type peerSession struct {
	peer *peer
	got
}

func (s *peerSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *peerSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if password != "secret" {
			return smtp.ErrAuthFailed
		}
		s.user = user
		return nil
	}), nil
}

func (s *peerSession) Mail(from string, o *smtp.MailOptions) error {
	s.from, s.options, s.to, s.toOption = from, *o, nil, nil
	return s.peer.answer("MAIL")
}

func (s *peerSession) Rcpt(to string, o *smtp.RcptOptions) error {
	if err := s.peer.answer(to); err != nil {
		return err
	}
	s.to, s.toOption = append(s.to, to), append(s.toOption, *o)
	return nil
}

func (s *peerSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := s.peer.answer("DATA"); err != nil {
		return err
	}
	s.data = string(b)
	s.peer.mu.Lock()
	defer s.peer.mu.Unlock()
	s.peer.taken = append(s.peer.taken, s.got)
	return nil
}

func (s *peerSession) LMTPData(r io.Reader, status smtp.StatusCollector) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.data = string(b)
	s.peer.mu.Lock()
	defer s.peer.mu.Unlock()
	s.peer.taken = append(s.peer.taken, s.got)
	for _, to := range s.to {
		status.SetStatus(to, s.peer.refuse["DATA "+to])
	}
	return nil
}

func (s *peerSession) Reset()        {}
func (s *peerSession) Logout() error { return nil }

// hostile is a peer that does what it is told, on each connection.
func hostile(t testing.TB, act func(c net.Conn, r *bufio.Reader)) (host string, port int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var running sync.WaitGroup
	stopped := make(chan struct{})
	t.Cleanup(func() { close(stopped); l.Close(); running.Wait() })
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				go func() { <-stopped; c.Close() }()
				act(c, bufio.NewReader(c))
			})
		}
	})
	return split(t, l.Addr())
}

// dialogue answers each command with the reply for its first word; "" is the
// greeting. A reply "close" closes the connection.
func dialogue(replies map[string]string) func(c net.Conn, r *bufio.Reader) {
	return func(c net.Conn, r *bufio.Reader) {
		for verb := ""; ; {
			reply, ok := replies[verb]
			if !ok {
				reply = map[string]string{"": "220 hi", "EHLO": "250 hi", "DATA": "354 go"}[verb]
			}
			if reply == "" {
				reply = "250 ok"
			}
			if reply == "close" {
				return
			}
			if _, err := io.WriteString(c, reply+"\r\n"); err != nil {
				return
			}
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if verb == "DATA" && strings.HasPrefix(reply, "354") || verb == "354" {
				for ; line != ".\r\n"; line, err = r.ReadString('\n') {
					if err != nil {
						return
					}
				}
				verb = "."
				continue
			}
			verb = strings.ToUpper(strings.Fields(line + " -")[0])
		}
	}
}

func options() sender.Options {
	return sender.Options{
		Hostname: "us.test",
		Resolver: &resolvertest.Zone{},
		TLS:      testcert.Client(),
		Logger:   slog.New(slog.DiscardHandler),
		Timeouts: sender.Timeouts{Connect: 2 * time.Second, Command: 2 * time.Second, DataBlock: 2 * time.Second, DataEnd: 2 * time.Second, Total: 10 * time.Second},
	}
}

// loopback allows MX hosts on this machine.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func job(body string, from string, to ...string) *sender.Job {
	j := &sender.Job{ID: "job", Body: message.FromBytes([]byte(body))}
	if from != "" {
		j.Envelope.From = mail.MustParseAddress(from)
	}
	for _, a := range to {
		j.Envelope.Recipients = append(j.Envelope.Recipients, mail.Recipient{To: mail.MustParseAddress(a)})
	}
	if len(to) > 0 {
		j.Domain = j.Envelope.Recipients[0].To.Domain()
	}
	return j
}

func to(hosts ...sender.Host) sender.Route { return sender.Route{Hosts: hosts} }

func send(t testing.TB, o sender.Options, j *sender.Job) []sender.Result {
	results := sender.New(o).Send(context.Background(), j)
	require.Len(t, results, len(j.Envelope.Recipients))
	for _, r := range results {
		require.NotNil(t, r.Reply)
	}
	return results
}

func codes(results []sender.Result) (codes []int) {
	for _, r := range results {
		codes = append(codes, r.Reply.Code)
	}
	return codes
}
