package server

import (
	"context"
	"errors"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/posthouse-mail/posthouse/listener"
)

// Engine is a protocol server, as packages smtp, imap and pop3 make them; an
// http.Server fits through [HTTP].
type Engine interface {
	Serve(ctx context.Context, l net.Listener) error // until Shutdown or Close
	Shutdown(ctx context.Context) error              // ends idle sessions, waits for the others
	Close() error                                    // cuts all sessions
}

// Protocol is a Service: an engine behind listeners.
type Protocol struct {
	Title     string
	Listeners []listener.Config
	Engine    func() Engine              // a new engine for each run: a stopped one stays stopped
	Drain     time.Duration              // how long sessions may go on after a stop; 0 means 10 seconds. Many idle ones are ended over the first half of it, a hundred a second at least; what is busy, relayed sessions too, is cut at its end
	Bound     func(l *listener.Listener) // called for each listener once it is bound; nil: nobody wants to know
}

// Name returns the title.
func (p *Protocol) Name() string { return p.Title }

// Run binds the listeners, serves them, and drains the sessions when ctx ends.
func (p *Protocol) Run(ctx context.Context, ready func()) error {
	bound, err := p.bind(ctx)
	if err != nil {
		return err
	}
	engine := p.Engine()
	ready()
	// Sessions outlive ctx: they end when the engine has drained.
	sessions, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	group, failed := errgroup.WithContext(sessions)
	for _, l := range bound {
		group.Go(func() error { return engine.Serve(sessions, l) })
	}
	select {
	case <-ctx.Done():
	case <-failed.Done():
	}
	p.drain(engine)
	if err := group.Wait(); ctx.Err() == nil {
		return err
	}
	return nil
}

func (p *Protocol) bind(ctx context.Context) ([]*listener.Listener, error) {
	var bound []*listener.Listener
	for _, c := range p.Listeners {
		l, err := listener.Listen(ctx, c)
		if err != nil {
			for _, b := range bound {
				b.Close()
			}
			return nil, err
		}
		bound = append(bound, l)
		if p.Bound != nil {
			p.Bound(l)
		}
	}
	if len(bound) == 0 {
		return nil, errors.New("no listener configured")
	}
	return bound, nil
}

func (p *Protocol) drain(engine Engine) {
	d := p.Drain
	if d == 0 {
		d = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	_ = engine.Shutdown(ctx) // what did not end in time is cut
	_ = engine.Close()
}
