package sender

import (
	"bytes"
	"errors"
	"net"
	"time"
)

// maxReply bounds the octets of one reply, all its lines together.
const maxReply = 64 << 10

var errReplyTooLong = errors.New("the peer's reply has no end")

// guard stands between the client and the connection. It bounds what a peer
// can make us read and how long it can make us wait: a reply has maxReply
// octets and the client's deadline, a write of content has block, and
// nothing passes end.
type guard struct {
	net.Conn
	end   time.Time
	block time.Duration

	free   bool   // the client has no deadline set
	budget int    // octets that the peer may still send in this reply
	forged []byte // served before the connection's own octets
	held   []byte // the beginning of a line whose end has not come
	hello  bool   // the reply being read is that to EHLO
	line   []byte // the first line of the reply being read, as far as it is there
}

func newGuard(nc net.Conn, end time.Time, block time.Duration) *guard {
	return &guard{Conn: nc, end: end, block: block, budget: maxReply}
}

// Read reads a part of a reply.
func (g *guard) Read(p []byte) (int, error) {
	if len(g.forged) > 0 {
		n := copy(p, g.forged)
		g.forged = g.forged[n:]
		return n, nil
	}
	for {
		if g.budget <= 0 {
			return 0, errReplyTooLong
		}
		n, err := g.Conn.Read(p[:min(len(p), g.budget)])
		g.budget -= n
		g.note(p[:n])
		switch whole := bytes.LastIndexByte(p[:n], '\n') + 1; {
		case whole > 0:
			return g.serve(p, n, whole), nil
		case err != nil:
			return 0, err
		}
		g.held = append(g.held, p[:n]...)
	}
}

// serve returns the lines that have ended, and holds back what has come of the
// next: the client would take "25" and the end of the connection for a line, and
// "250 OK" without its end for a success.
func (g *guard) serve(p []byte, n, whole int) int {
	rest := bytes.Clone(p[whole:n])
	if len(g.held) > 0 {
		lines := append(g.held, p[:whole]...)
		whole = copy(p, lines)
		g.forged = lines[whole:]
	}
	g.held = rest
	return whole
}

// note keeps the first line of a reply. EHLO keywords are the same in any
// letter case (RFC 5321 §2.4), which the client does not know.
func (g *guard) note(p []byte) {
	if len(g.line) < maxText && !bytes.HasSuffix(g.line, []byte("\n")) {
		line := p
		if i := bytes.IndexByte(p, '\n'); i >= 0 {
			line = p[:i+1]
		}
		g.line = append(g.line, line[:min(len(line), maxText-len(g.line))]...)
	}
	if g.hello && len(g.line) > 0 && g.line[0] == '2' {
		for i, c := range p {
			if 'a' <= c && c <= 'z' {
				p[i] = c - 'a' + 'A'
			}
		}
	}
}

// Write writes a command or a piece of content; what the peer sends next is a
// new reply.
func (g *guard) Write(p []byte) (int, error) {
	g.budget, g.line = maxReply, g.line[:0]
	g.hello = bytes.HasPrefix(p, []byte("EHLO")) || bytes.HasPrefix(p, []byte("LHLO"))
	if g.free {
		if err := g.Conn.SetDeadline(g.bounded(time.Now().Add(g.block))); err != nil {
			return 0, err
		}
	}
	return g.Conn.Write(p)
}

// allow raises the budget for n replies that follow one another.
func (g *guard) allow(n int) { g.budget = maxReply + n*maxText*2 }

// SetDeadline sets the client's deadline for a command and its reply; the
// zero time says that it has none.
func (g *guard) SetDeadline(t time.Time) error {
	g.free = t.IsZero()
	return g.Conn.SetDeadline(g.bounded(t))
}

func (g *guard) bounded(t time.Time) time.Time {
	if t.IsZero() || t.After(g.end) {
		return g.end
	}
	return t
}

// peerName returns the name by which the peer has answered EHLO.
func (g *guard) peerName() string {
	if len(g.line) < 4 {
		return ""
	}
	if words := bytes.Fields(g.line[4:]); len(words) > 0 {
		return string(words[0])
	}
	return ""
}
