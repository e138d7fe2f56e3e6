// Package ldapstub is a small LDAP server for tests: it has entries, takes
// simple binds, finds by filter, and fails in the ways that directories fail.
// It listens on loopback and ends with its test.
//
// It is no directory: names and values are compared without letter case,
// there is no schema, and access is not controlled.
package ldapstub

import (
	"crypto/tls"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Server is a running stub.
type Server struct {
	// How many there were, with those that a fault left without an answer.
	Connections, Binds, Searches atomic.Int64

	address string
	tls     *tls.Config
	implied bool // TLS from the first octet

	mu        sync.Mutex
	listener  net.Listener
	conns     map[net.Conn]struct{}
	entries   []entry
	fault     Fault
	answers   map[Op]answer
	referrals []string
	sizeLimit int
	maxValues int
	bindFirst bool
	ending    chan struct{} // closed by Stop
	running   sync.WaitGroup
}

type entry struct {
	dn         string
	attributes map[string][]string
	names      []string // of the attributes, sorted
}

// Start starts a server that speaks LDAP, and takes StartTLS when it has a
// TLS configuration.
func Start(tb testing.TB, config *tls.Config) *Server {
	return start(tb, &Server{tls: config})
}

// StartTLS starts a server that speaks TLS from the first octet.
func StartTLS(tb testing.TB, config *tls.Config) *Server {
	return start(tb, &Server{tls: config, implied: true})
}

func start(tb testing.TB, s *Server) *Server {
	tb.Helper()
	s.address = "127.0.0.1:0"
	s.conns, s.answers = make(map[net.Conn]struct{}), make(map[Op]answer)
	if err := s.listen(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Stop)
	return s
}

// URI returns where the server is, "ldap://127.0.0.1:port" or "ldaps://…". It
// stays the same when the server stops and starts again.
func (s *Server) URI() string {
	if s.implied {
		return "ldaps://" + s.address
	}
	return "ldap://" + s.address
}

// Add adds an entry. A value of userPassword is clear text: whoever binds with
// it is let in.
func (s *Server) Add(dn string, attributes map[string][]string) {
	e := entry{dn: dn, attributes: attributes}
	for name := range attributes {
		e.names = append(e.names, name)
	}
	slices.Sort(e.names)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = slices.DeleteFunc(s.entries, func(old entry) bool { return same(old.dn, dn) })
	s.entries = append(s.entries, e)
}

// Stop ends the server and all its connections. Connecting is refused then.
func (s *Server) Stop() {
	s.mu.Lock()
	if s.listener != nil {
		_ = s.listener.Close()
		close(s.ending)
		s.listener = nil
	}
	s.closeAll()
	s.mu.Unlock()
	s.running.Wait()
}

// Restart starts the server again at the same address, with its entries.
func (s *Server) Restart() error {
	s.Stop()
	return s.listen()
}

// CloseConnections ends all connections, as a server does with idle ones.
func (s *Server) CloseConnections() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeAll()
}

func (s *Server) closeAll() {
	for nc := range s.conns {
		_ = nc.Close()
	}
}

func (s *Server) listen() error {
	l, err := net.Listen("tcp", s.address)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.address, s.listener, s.ending = l.Addr().String(), l, make(chan struct{})
	s.running.Go(func() { s.accept(l) })
	return nil
}

func (s *Server) accept(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		s.Connections.Add(1)
		s.mu.Lock()
		if s.listener == nil {
			s.mu.Unlock()
			_ = nc.Close()
			return
		}
		s.conns[nc] = struct{}{}
		ending := s.ending
		s.running.Go(func() {
			(&session{s: s, raw: nc, nc: nc, ending: ending}).run()
			_ = nc.Close()
			s.mu.Lock()
			delete(s.conns, nc)
			s.mu.Unlock()
		})
		s.mu.Unlock()
	}
}

func same(a, b string) bool { return strings.EqualFold(clean(a), clean(b)) }

// clean takes out the spaces after the commas of a name.
func clean(dn string) string {
	for strings.Contains(dn, ", ") {
		dn = strings.ReplaceAll(dn, ", ", ",")
	}
	return dn
}

// Serve takes connections from one more listener, until it is closed.
func (s *Server) Serve(l net.Listener) { s.running.Go(func() { s.accept(l) }) }
