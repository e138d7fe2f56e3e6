package ldap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	ldap "github.com/go-ldap/ldap/v3"
)

// Connector asks an LDAP directory. It is safe for concurrent use.
//
// The servers are asked in the order of Config.URIs: the first that is up
// answers. A server that can't be connected to, does not answer within
// Config.Timeout, breaks an answer off or says that it can't is down: it is
// asked no more until a probe in the background has shown that it works
// again. While all are down, whatever is asked is ErrUnavailable at once.
type Connector struct {
	c        Config   // with its defaults
	defaults []string // the attributes that Config names
	servers  []*server
	waiting  atomic.Int64 // questions that wait for a connection

	ctx        context.Context // ends with Close
	cancel     context.CancelFunc
	mu         sync.Mutex // guards the start of what runs in the background
	background sync.WaitGroup
}

var _ Searcher = (*Connector)(nil)

var errClosed = fmt.Errorf("%w: it is closed", ErrUnavailable)

// New checks a configuration and returns a Connector. It connects to nothing
// before it is asked. ErrConfig.
func New(config Config) (*Connector, error) {
	config = config.withDefaults()
	if err := config.check(); err != nil {
		return nil, err
	}
	c := &Connector{c: config, defaults: slices.Clip(config.Attributes.names())}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	for _, uri := range config.URIs {
		at, err := parseURI(uri)
		if err != nil {
			return nil, err
		}
		c.servers = append(c.servers, newServer(c, at))
	}
	return c, nil
}

// Close closes all connections, also those that wait for an answer, and
// returns when nothing runs any more. What is asked afterwards is
// ErrUnavailable.
func (c *Connector) Close() error {
	c.mu.Lock()
	c.cancel()
	c.mu.Unlock()
	for _, s := range c.servers {
		for _, p := range s.pools {
			p.close()
		}
	}
	c.background.Wait()
	return nil
}

// Config returns the configuration with its defaults filled in, without the
// password.
func (c *Connector) Config() Config {
	config := c.c
	config.BindPassword = ""
	config.URIs = slices.Clone(config.URIs)
	return config
}

// inBackground runs f beside, unless the Connector is closed. Close waits for it.
func (c *Connector) inBackground(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return false
	}
	c.background.Go(f)
	return true
}

// question is put to one server after the other until one knows the answer.
type question struct {
	to          use
	what, about string // of the step, for people
	put         func(*ldap.Conn) error

	at       endpoint  // of the server that was asked last
	deadline time.Time // of its answer
}

func (q *question) step() string { return q.what + q.about }

// ask has the first server that works answer a question.
func (c *Connector) ask(ctx context.Context, q *question) error {
	for begun := time.Now(); ; {
		if c.ctx.Err() != nil {
			return errClosed
		}
		asked, err := c.askThoseUp(ctx, q)
		if asked > 0 || !c.await(ctx) || ctx.Err() != nil || time.Since(begun) > c.c.Timeout {
			return err
		}
	}
}

// askThoseUp asks the servers that are up in their order, and returns how many
// the question was put to. Without an answer, the error says of all why there is none.
func (c *Connector) askThoseUp(ctx context.Context, q *question) (asked int, err error) {
	var failures []error
	for _, s := range c.servers {
		err := s.ask(ctx, q)
		if !errors.Is(err, errDown) {
			asked++
		}
		if !isOutage(err) {
			return asked, err
		}
		failures = append(failures, err)
	}
	if len(failures) == 1 {
		return asked, failures[0]
	}
	return asked, errors.Join(failures...)
}

// await waits until it is known whether servers that have failed just now
// work, and reports whether it is worth while to ask again. A single question
// that failed for its own sake does not make the directory unavailable to
// others.
func (c *Connector) await(ctx context.Context) bool {
	for _, s := range c.servers {
		if verdict := s.awaited(); verdict != nil {
			select {
			case <-verdict:
			case <-ctx.Done():
			case <-c.ctx.Done():
			}
		}
		if s.mayWork() {
			return true
		}
	}
	return false
}
