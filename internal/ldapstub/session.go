package ldapstub

import (
	"bufio"
	"crypto/tls"
	"net"

	ber "github.com/go-asn1-ber/asn1-ber"
)

// session is one connection.
type session struct {
	s       *Server
	raw, nc net.Conn // nc is raw, or TLS over it
	in      *bufio.Reader
	ending  chan struct{}
	bound   string // DN; empty: anonymous
}

// Tags of requests and answers (RFC 4511 §4).
const (
	tagBind, tagBindAnswer         = 0, 1
	tagUnbind                      = 2
	tagSearch, tagEntry, tagDone   = 3, 4, 5
	tagExtended, tagExtendedAnswer = 23, 24
	tagReference                   = 19
)

const startTLS = "1.3.6.1.4.1.1466.20037"

func (c *session) run() {
	if c.fault() == StallConnect {
		<-c.ending
		return
	}
	if c.s.implied && !c.secure() {
		return
	}
	c.in = bufio.NewReader(c.nc)
	for {
		p, err := ber.ReadPacket(c.in)
		if err != nil || len(p.Children) < 2 {
			return
		}
		id, ok := p.Children[0].Value.(int64)
		if !ok || !c.serve(id, p) {
			return
		}
	}
}

func (c *session) fault() Fault {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.s.fault
}

// serve answers a request, and reports whether the connection goes on.
func (c *session) serve(id int64, p *ber.Packet) bool {
	op := p.Children[1]
	switch op.Tag {
	case tagBind:
		c.s.Binds.Add(1)
	case tagSearch:
		c.s.Searches.Add(1)
	}
	switch c.fault() {
	case Stall, StallConnect:
		<-c.ending
		return false
	case CloseUnanswered:
		return false
	case Garbage:
		_, err := c.nc.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		return err == nil
	}
	switch op.Tag {
	case tagBind:
		return c.bind(id, op)
	case tagSearch:
		return c.search(id, p)
	case tagExtended:
		return c.extended(id, op)
	case tagUnbind:
		return false
	}
	return c.send(id, result(op.Tag+1, answer{code: 2}))
}

func (c *session) bind(id int64, op *ber.Packet) bool {
	if len(op.Children) < 3 {
		return false
	}
	dn, _ := op.Children[1].Value.(string)
	password := op.Children[2].Data.String()
	a := c.s.check(dn, password)
	if c.bound = ""; a.code == 0 {
		c.bound = dn
	}
	return c.send(id, result(tagBindAnswer, a)) && c.fault() != CloseAfterBind
}

// check answers a simple bind as OpenLDAP does.
func (s *Server) check(dn, password string) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, ok := s.answers[Bind]; ok {
		return a
	}
	if dn == "" || password == "" {
		return answer{code: 0} // anonymous or unauthenticated, RFC 4513 §5.1
	}
	for i := range s.entries {
		if !same(s.entries[i].dn, dn) {
			continue
		}
		for _, p := range s.entries[i].all("userPassword") {
			if p == password {
				return answer{code: 0}
			}
		}
	}
	return answer{code: 49}
}

func (c *session) extended(id int64, op *ber.Packet) bool {
	if len(op.Children) == 0 || op.Children[0].Data.String() != startTLS || c.s.tls == nil {
		return c.send(id, result(tagExtendedAnswer, answer{2, "not supported"}))
	}
	if !c.send(id, result(tagExtendedAnswer, answer{code: 0})) || !c.secure() {
		return false
	}
	c.in = bufio.NewReader(c.nc)
	return true
}

func (c *session) secure() bool {
	secured := tls.Server(c.raw, c.s.tls)
	if secured.Handshake() != nil {
		return false
	}
	c.nc = secured
	return true
}

func (c *session) send(id int64, op *ber.Packet) bool {
	_, err := c.nc.Write(message(id, op).Bytes())
	return err == nil
}

func message(id int64, op *ber.Packet) *ber.Packet {
	p := ber.NewSequence("")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	p.AppendChild(op)
	return p
}

func result(tag ber.Tag, a answer) *ber.Packet {
	p := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, a.code, ""))
	p.AppendChild(text(""))
	p.AppendChild(text(a.diagnostic))
	return p
}

func text(s string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
}
