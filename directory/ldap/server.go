package ldap

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ServerState says how a server is doing.
type ServerState struct {
	URI   string
	Up    bool      // it is asked. A server counts as up until it fails
	Since time.Time // when Up began to be as it is
	Last  error     // why it failed for the last time; nil: it never did
}

// Servers returns the state of each server, in the order of Config.URIs.
func (c *Connector) Servers() []ServerState {
	states := make([]ServerState, len(c.servers))
	for i, s := range c.servers {
		s.mu.Lock()
		states[i] = ServerState{URI: s.at.uri, Up: s.up, Since: s.since, Last: s.last}
		s.mu.Unlock()
	}
	return states
}

// server is one of the servers. When a question shows that it does not work,
// it is down: it is asked no more before a probe in the background has shown
// that it works again.
type server struct {
	c     *Connector
	at    endpoint
	pools [2]*pool // by use

	mu      sync.Mutex
	up      bool
	since   time.Time
	last    error
	epoch   int           // counts how often it went down
	gone    chan struct{} // closed when up ends
	probing bool
	verdict chan struct{} // closed when the first probe has ended; nil when none is awaited
}

func newServer(c *Connector, at endpoint) *server {
	s := &server{c: c, at: at, up: true, since: time.Now(), gone: make(chan struct{})}
	s.pools = [2]*pool{searches: newPool(s, searches, c.c.Connections), userBinds: newPool(s, userBinds, c.c.UserBinds)}
	return s
}

// isUp reports whether the server is to be asked, and in which epoch.
func (s *server) isUp() (epoch int, up bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch, s.up
}

func (s *server) current() int {
	epoch, _ := s.isUp()
	return epoch
}

// ended returns what is closed when the server goes down.
func (s *server) ended() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone
}

// errDown is of a server that a question was not put to, since it is down.
var errDown = errors.New("server is down")

// down is the error for which a server went down.
type down struct{ error }

func (d down) Unwrap() []error { return []error{errDown, d.error} }

// state returns why the server is down, as an outage.
func (s *server) state() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	step, err := "down since "+s.since.UTC().Format(time.RFC3339), s.last
	var why *failure
	if errors.As(s.last, &why) {
		step, err = step+": "+why.step, why.err
	}
	return &failure{s.at.uri, step, down{err}, true}
}

// awaited returns what is closed when it is known whether a server that has
// just failed works; nil when that is known.
func (s *server) awaited() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.up {
		return nil
	}
	return s.verdict
}

// mayWork reports whether the server is up, or whether that is not known yet.
func (s *server) mayWork() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.up || s.verdict != nil
}

// ask puts a question to the server. An outage marks it as down.
func (s *server) ask(ctx context.Context, q *question) error {
	epoch, up := s.isUp()
	if !up {
		return s.state()
	}
	p := s.pools[q.to]
	if err := p.enter(ctx); err != nil {
		return err
	}
	defer p.leave()
	if epoch != s.current() {
		return s.state()
	}
	begun := time.Now()
	q.deadline, q.at = begun.Add(s.c.c.Timeout), s.at
	err := s.put(ctx, p, epoch, q)
	switch {
	case ctx.Err() != nil && err != nil:
		// Whoever asked has left. It is not said that the server is to blame.
		if time.Since(begun) > s.c.c.Timeout/4 {
			s.doubt()
		}
		return &failure{s.at.uri, q.step(), ctx.Err(), false}
	case s.c.ctx.Err() != nil && err != nil:
		return errClosed
	case isOutage(err):
		s.fail(epoch, err)
	}
	return err
}

// put puts a question on a connection that waits, or else on a new one. What
// fails for the age of a connection is put once more: all questions only
// read, so that nothing happens twice.
func (s *server) put(ctx context.Context, p *pool, epoch int, q *question) error {
	c := p.take(epoch)
	if c != nil {
		err := c.put(ctx, q.deadline, s.c.c.MaxAnswer, q.put)
		stale := c.stale(err)
		p.give(c)
		if !stale {
			return s.failure(q, err)
		}
	}
	c, err := s.c.dial(ctx, s.at, q.deadline, q.to)
	if err != nil {
		return err
	}
	c.epoch = epoch
	if !p.add(c) {
		c.close()
		return errClosed
	}
	defer p.give(c)
	return s.failure(q, c.put(ctx, q.deadline, s.c.c.MaxAnswer, q.put))
}

// failure says what an error of a question means.
func (s *server) failure(q *question, err error) error {
	if err == nil {
		return nil
	}
	return &failure{s.at.uri, q.step(), err, meansOutage(err)}
}
