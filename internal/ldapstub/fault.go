package ldapstub

import "net"

// Fault is a way in which the server fails with every request.
type Fault int

// The faults.
const (
	None            Fault = iota
	Stall                 // requests are read and not answered
	StallConnect          // connections are accepted and not read, not even for TLS
	ResetMidAnswer        // half an answer to a search, then RST
	HalfAnswer            // half an answer to a search, then the end of the connection
	CloseAfterBind        // binds are answered, then the connection ends
	CloseUnanswered       // the connection ends instead of an answer
	Garbage               // octets that are no LDAP instead of an answer
)

// Op is a kind of request.
type Op int

// The kinds of requests.
const (
	Bind Op = iota
	Search
)

type answer struct {
	code       int
	diagnostic string
}

// SetFault makes all requests fail from now on; None ends that. What a Stall
// holds already stays without an answer until its connection ends.
func (s *Server) SetFault(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// SetAnswer makes all requests of a kind end with a result code and a
// diagnostic message, whatever is asked. Code -1 ends that.
func (s *Server) SetAnswer(op Op, code int, diagnostic string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if delete(s.answers, op); code >= 0 {
		s.answers[op] = answer{code, diagnostic}
	}
}

// SetReferrals adds continuation references to each answer to a search of a
// subtree, as Active Directory does. With SetAnswer(Search, 10, "") they are
// the referral.
func (s *Server) SetReferrals(uris ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.referrals = uris
}

// SetSizeLimit makes the server itself end searches after n entries; 0: never.
func (s *Server) SetSizeLimit(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sizeLimit = n
}

// SetMaxValues makes the server answer at most n values of an attribute at a
// time, in ranges as Active Directory does ("member;range=0-1499"); 0: all.
func (s *Server) SetMaxValues(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.maxValues = n
}

// RequireBind makes searches of an anonymous connection fail as in Active
// Directory.
func (s *Server) RequireBind() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bindFirst = true
}

// reset ends a connection with RST.
func reset(nc net.Conn) {
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = nc.Close()
}
