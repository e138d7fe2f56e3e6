package sender

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-sasl"
	smtp "github.com/emersion/go-smtp"
)

// session is a connection to a host that has greeted us.
type session struct {
	*smtp.Client
	guard   *guard
	end     endpoint
	plain   net.Conn // below TLS
	secure  bool     // TLS is active
	release func() bool
}

// tlsError marks a failure of STARTTLS or its handshake.
type tlsError struct{ error }

func (e tlsError) Unwrap() error { return e.error }

// connect opens a session: connection, greeting, EHLO, TLS, login. When TLS
// is only an offer and fails, it tries once more without.
func (s *Sender) connect(ctx context.Context, e endpoint, j *Job) (*session, error) {
	c, err := s.open(ctx, e, j)
	if _, ok := errors.AsType[tlsError](err); ok && e.TLS == TLSOffered && !j.Envelope.Options.RequireTLS {
		s.o.Logger.InfoContext(ctx, "TLS failed, going on without", "job", j.ID, "host", e.Name, "address", e.address, "err", err)
		e.TLS = TLSNone
		c, err = s.open(ctx, e, j)
	}
	return c, err
}

func (s *Sender) open(ctx context.Context, e endpoint, j *Job) (*session, error) {
	dialing, cancel := context.WithTimeout(ctx, s.o.Timeouts.Connect)
	defer cancel()
	nc, err := s.o.Dial(dialing, e.network, e.address)
	if err != nil {
		return nil, replyTo(ctx, err, noAnswer)
	}
	c := &session{end: e, plain: nc, release: context.AfterFunc(ctx, func() { nc.Close() })}
	if err := s.greet(ctx, c, j); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// greet brings a fresh connection to the point where MAIL may be sent.
func (s *Sender) greet(ctx context.Context, c *session, j *Job) error {
	if c.end.TLS == TLSImplicit {
		if err := s.encrypt(ctx, c, j); err != nil {
			return err
		}
	} else {
		s.attach(ctx, c, c.plain, j)
	}
	if err := s.hello(ctx, c, j); err != nil {
		return err
	}
	if err := s.startTLS(ctx, c, j); err != nil {
		return err
	}
	return s.login(ctx, c, j.Route.Auth)
}

// attach makes the client over a layer of the connection.
func (s *Sender) attach(ctx context.Context, c *session, layer net.Conn, j *Job) {
	end, _ := ctx.Deadline() // Send has set one
	c.guard = newGuard(layer, end, s.o.Timeouts.DataBlock)
	if j.Route.Protocol == LMTP {
		c.Client = smtp.NewClientLMTP(c.guard)
	} else {
		c.Client = smtp.NewClient(c.guard)
	}
	c.CommandTimeout = s.o.Timeouts.Command
}

// hello waits for the greeting and says EHLO, or HELO to a host that doesn't
// know it. A host that answers with our own name is ourselves.
func (s *Sender) hello(ctx context.Context, c *session, j *Job) error {
	if err := c.Hello(cmp.Or(j.Hello, s.o.Hostname)); err != nil {
		return replyTo(ctx, err, noAnswer)
	}
	if j.Route.Protocol == SMTP && c.end.found && strings.EqualFold(c.guard.peerName(), s.o.Hostname) {
		return loops(j.Domain)
	}
	return nil
}

// verified reports whether the peer's certificate must be good.
func (j *Job) verified(e endpoint) bool {
	return e.TLS == TLSStart || e.TLS == TLSImplicit || j.Envelope.Options.RequireTLS
}

// startTLS secures the session as its host's mode says (RFC 3207). The client
// of before is dropped with whatever it has read: nothing that came in clear
// is seen after the handshake.
func (s *Sender) startTLS(ctx context.Context, c *session, j *Job) error {
	must := j.verified(c.end)
	if c.secure || c.end.TLS == TLSNone && !must {
		return nil
	}
	if offered, _ := c.Extension("STARTTLS"); !offered {
		if must {
			return needsTLS
		}
		return nil
	}
	if err := c.command(s.o.Timeouts.Command, "STARTTLS", 220); err != nil {
		return tlsError{needsTLS.Because(err)} // whatever it answered: that is no verdict on the message
	}
	if err := s.encrypt(ctx, c, j); err != nil {
		return err
	}
	return s.helloAgain(ctx, c, j)
}

// helloAgain says EHLO where the greeting has gone by: the client expects one.
func (s *Sender) helloAgain(ctx context.Context, c *session, j *Job) error {
	c.guard.forged = []byte("220 \r\n")
	return s.hello(ctx, c, j)
}

// command sends a command and wants one reply code.
func (c *session) command(d time.Duration, line string, want int) error {
	if err := c.write(d, line+"\r\n"); err != nil {
		return err
	}
	_, err := readReply(c.replies(), want)
	return err
}

// commands sends the MAIL and RCPT commands of a transaction, in one piece
// where the host knows PIPELINING (RFC 2920), and returns what was answered to
// each: nil for a success. An error means that the session can't go on.
func (c *session) commands(d time.Duration, lines []string) (errs []error, err error) {
	atOnce := 1
	if ok, _ := c.Extension("PIPELINING"); ok {
		atOnce = maxPipeline
	}
	for piece := range slices.Chunk(lines, atOnce) {
		if err := c.write(d, strings.Join(piece, "\r\n")+"\r\n"); err != nil {
			return nil, err
		}
		c.guard.allow(len(piece))
		replies := c.replies()
		for range piece {
			_, err := readReply(replies, 2)
			if _, ok := answered(err); err != nil && !ok {
				return nil, err
			}
			errs = append(errs, err)
		}
		if errs[0] != nil { // without MAIL there is nothing to ask
			break
		}
	}
	return errs, nil
}

// maxPipeline bounds what is sent before replies are read, so that neither
// side waits for the other with full buffers.
const maxPipeline = 100

func (c *session) write(d time.Duration, text string) error {
	if err := c.guard.SetDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	_, err := c.guard.Write([]byte(text))
	return err
}

// replies reads beside the client, which must have read all that came before.
// What this reader has taken and not returned is lost with it.
func (c *session) replies() *textproto.Reader {
	return textproto.NewReader(bufio.NewReaderSize(c.guard, 1<<10))
}

// readReply reads one reply, which should have the given code or class, and returns its text.
func readReply(r *textproto.Reader, want int) (string, error) {
	_, text, err := r.ReadResponse(want)
	if e, ok := errors.AsType[*textproto.Error](err); ok {
		return "", clientError(e)
	}
	return text, err
}

// encrypt puts TLS over the connection and makes a new client over that.
func (s *Sender) encrypt(ctx context.Context, c *session, j *Job) error {
	config := s.o.TLS.Clone()
	if config.ServerName == "" {
		config.ServerName = c.end.Name
	}
	config.InsecureSkipVerify = !j.verified(c.end)
	shaking, cancel := context.WithTimeout(ctx, s.o.Timeouts.Connect)
	defer cancel()
	layer := tls.Client(c.plain, config)
	if err := layer.HandshakeContext(shaking); err != nil {
		return tlsError{replyTo(ctx, err, needsTLS)}
	}
	c.secure = true
	s.attach(ctx, c, layer, j)
	return nil
}

// login authenticates, if the route says how. A refusal is temporary: the
// mistake is in our configuration, not in the message.
func (s *Sender) login(ctx context.Context, c *session, a Auth) error {
	if !a.isSet() {
		return nil
	}
	var mech sasl.Client
	switch {
	case c.SupportsAuth("PLAIN"):
		mech = sasl.NewPlainClient("", a.User, a.Password)
	case c.SupportsAuth("LOGIN"):
		mech = sasl.NewLoginClient(a.User, a.Password)
	default:
		return loginFailed.Because(errors.New("neither PLAIN nor LOGIN is offered"))
	}
	if err := c.Auth(mech); err != nil {
		if _, ok := answered(err); ok {
			return loginFailed.Because(err)
		}
		return replyTo(ctx, err, lost)
	}
	return nil
}

// quit says good-bye without waiting for the answer, and closes.
func (c *session) quit() {
	_ = c.guard.SetDeadline(time.Now().Add(time.Second))
	_, _ = c.guard.Write([]byte("QUIT\r\n"))
	c.close()
}

func (c *session) close() {
	c.release()
	if c.guard != nil {
		c.guard.Close()
	}
	c.plain.Close()
}
