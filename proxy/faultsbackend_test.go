package proxy_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/testcert"
	"github.com/posthouse-mail/posthouse/mapping"
)

// stage is a moment in the dialogue with a back end.
type stage int

const (
	never      stage = iota
	connecting       // before it greets
	greeting
	starting    // TLS
	login       // it is asked to let somebody in; where mail is routed, to take a message
	downloading // it is asked for a message
	uploading   // it has asked for a message, or a script
	uploaded    // it has got that
	idling      // nobody says anything
)

// act is what a broken back end does at its stage, where a good one says
// something and goes on. It closes the connection when it returns.
type act func(p *peer, says string)

// backend is a scripted back end, good but for its act.
type backend struct {
	route    mapping.Route
	dialect  *dialect
	at       stage
	act      act
	sessions sync.WaitGroup

	mu     sync.Mutex
	heard  bytes.Buffer
	logins int
	said   bytes.Buffer // since it has let somebody in
}

// peer is one of its connections.
type peer struct {
	net.Conn
	in      *bufio.Reader
	backend *backend
}

// startBackend serves until the test ends.
func startBackend(t testing.TB, d *dialect, at stage, act act) *backend {
	t.Helper()
	return startBackendOn(t, "127.0.0.1", &backend{dialect: d, at: at, act: act})
}

// startBackendOn serves on an address of loopback.
func startBackendOn(t testing.TB, host string, b *backend) *backend {
	t.Helper()
	l, err := net.Listen("tcp", host+":0")
	if err != nil && host != "127.0.0.1" {
		t.Skip("no second loopback address: ", err)
	}
	require.NoError(t, err)
	address := l.Addr().(*net.TCPAddr)
	b.route = mapping.Route{Host: address.IP.String(), Port: address.Port, TLS: mapping.TLSNone}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			_ = nc.SetDeadline(time.Now().Add(patience))
			b.sessions.Go(func() {
				p := &peer{Conn: nc, backend: b}
				p.in = bufio.NewReader(p)
				p.serve()
				p.Conn.Close()
			})
		}
	})
	t.Cleanup(func() { l.Close(); accepting.Wait(); b.sessions.Wait() })
	return b
}

// Read keeps what is read.
func (p *peer) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	p.backend.mu.Lock()
	defer p.backend.mu.Unlock()
	p.backend.heard.Write(b[:n])
	return n, err
}

// all is what the back end has heard on all connections.
func (b *backend) all() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.heard.String()
}

func (p *peer) say(text string) {
	p.backend.mu.Lock()
	p.backend.said.WriteString(text)
	p.backend.mu.Unlock()
	_, _ = io.WriteString(p.Conn, text)
}

// entries is how many have been let in.
func (b *backend) entries() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.logins
}

// sinceLogin is what the back end has said since it has let the last one in.
func (b *backend) sinceLogin() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.said.String()
}

// drain hears until the other side ends.
func (p *peer) drain() { _, _ = io.Copy(io.Discard, p.in) }

// step comes to a stage, and reports whether the dialogue goes on.
func (p *peer) step(at stage, says string) bool {
	if at != never && p.backend.at == at {
		p.backend.act(p, says)
		return false
	}
	if at != login {
		p.say(says)
		return true
	}
	p.backend.mu.Lock()
	defer p.backend.mu.Unlock()
	p.backend.logins++
	p.backend.said.Reset()
	_, _ = io.WriteString(p.Conn, says)
	return true
}

func (p *peer) serve() {
	d := p.backend.dialect
	if !p.step(connecting, "") || !p.step(greeting, d.greeting+"\r\n") {
		return
	}
	p.goOn()
}

// goOn answers lines.
func (p *peer) goOn() {
	for {
		line, err := p.in.ReadString('\n')
		if err != nil || !p.answer(strings.TrimRight(line, "\r\n")) {
			return
		}
	}
}

// answer answers a line as a good back end does, until its stage comes.
func (p *peer) answer(line string) bool {
	at, says := p.backend.dialect.find(line)
	switch {
	case !p.step(at, says):
		return false
	case at == starting:
		return p.startTLS()
	case at == uploading:
		return p.upload()
	}
	return true
}

// find returns a good answer to a line; nothing where there is none, as to what
// follows a literal.
func (d *dialect) find(line string) (at stage, says string) {
	for _, a := range d.answers {
		if m := a.to.FindStringSubmatchIndex(line); m != nil {
			says = string(a.to.ExpandString(nil, a.says, line, m))
			if says != "" {
				says += "\r\n"
			}
			return a.at, says
		}
	}
	return never, ""
}

func (p *peer) startTLS() bool {
	layer := tls.Server(p.Conn, testcert.Server())
	if layer.Handshake() != nil {
		return false
	}
	p.Conn = layer
	p.in.Reset(p)
	return true
}

// upload takes lines up to a dot.
func (p *peer) upload() bool {
	for {
		line, err := p.in.ReadString('\n')
		if err != nil {
			return false
		}
		if strings.TrimRight(line, "\r\n") == "." {
			return p.step(uploaded, p.backend.dialect.taken+"\r\n")
		}
	}
}

// reset breaks the connection off.
func (p *peer) reset() {
	if nc, ok := p.Conn.(*net.TCPConn); ok {
		_ = nc.SetLinger(0)
	}
}

// The acts.

func silent(p *peer, _ string) { p.drain() }

func killed(*peer, string) {}

func brokenOff(p *peer, _ string) { p.reset() }

// halfThen says half of what a good one says.
func halfThen(next act) act {
	return func(p *peer, says string) {
		p.say(says[:len(says)/2])
		next(p, "")
	}
}

// afterIt says what a good one says.
func afterIt(next act) act {
	return func(p *peer, says string) {
		p.say(says)
		next(p, "")
	}
}

// amidUpload hears some octets of what is uploaded.
func amidUpload(next act) act {
	return func(p *peer, says string) {
		p.say(says)
		_, _ = io.ReadFull(p.in, make([]byte, 10))
		next(p, "")
	}
}

// instead says something else, and nothing more.
func instead(of func(d *dialect) string) act {
	return func(p *peer, _ string) {
		p.say(of(p.backend.dialect))
		p.drain()
	}
}

// refusing says something else, and refuses whatever comes then.
func refusing(of func(d *dialect) string) act {
	return func(p *peer, _ string) {
		p.say(of(p.backend.dialect))
		for {
			if _, err := p.in.ReadString('\n'); err != nil {
				return
			}
			p.say(answering("%no", "no")(p.backend.dialect))
		}
	}
}

// withoutEnd says a good one's words and goes on, for as long as somebody hears.
func withoutEnd(more func(d *dialect) string, pause time.Duration) act {
	return func(p *peer, says string) {
		text := strings.TrimSuffix(says, "\r\n")
		for {
			if _, err := io.WriteString(p.Conn, text); err != nil {
				return
			}
			text = more(p.backend.dialect)
			time.Sleep(pause)
		}
	}
}

// injected agrees to TLS and says more in clear, as somebody on the way might
// who has the same packet, and goes on as a good one.
func injected(p *peer, says string) {
	p.say(says + answering("%yes", "in")(p.backend.dialect))
	if p.startTLS() {
		p.goOn()
	}
}

// garbage agrees to TLS and speaks something else.
func garbage(p *peer, says string) {
	p.say(says)
	_, _ = io.ReadFull(p.in, make([]byte, 10))
	p.say("HTTP/1.1 400 Bad Request\r\n\r\n")
	p.drain()
}

// inClearOnly is a good back end without TLS.
func inClearOnly(p *peer, says string) {
	without := strings.NewReplacer(" STARTTLS", "", "STLS\r\n", "", "\"STARTTLS\"\r\n", "", "250-STARTTLS\r\n", "")
	p.say(without.Replace(says))
	for {
		line, err := p.in.ReadString('\n')
		if err != nil {
			return
		}
		at, says := p.backend.dialect.find(strings.TrimRight(line, "\r\n"))
		if at == starting {
			says = answering("%no", "what?")(p.backend.dialect)
		}
		p.say(without.Replace(says))
	}
}

const megabyte = 1 << 20
