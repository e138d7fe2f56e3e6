package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/examples/internal/config"
	"github.com/posthouse-mail/posthouse/examples/internal/datadir"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/processing"
	"github.com/posthouse-mail/posthouse/proxy"
	"github.com/posthouse-mail/posthouse/queue"
	queuelocal "github.com/posthouse-mail/posthouse/queue/local"
	"github.com/posthouse-mail/posthouse/smtp"
	"github.com/posthouse-mail/posthouse/smtp/sender"
	storagelocal "github.com/posthouse-mail/posthouse/storage/local"
)

// QueueConfig says how mail is sent that waits in a service's queue. Every key
// is optional.
type QueueConfig struct {
	Retry     []config.Duration `toml:"retry"`      // waits after the first attempt, the second, …; the last one repeats. Empty: 1m, 2m, 5m, 10m, 20m, 40m, 1h
	Lifetime  config.Duration   `toml:"lifetime"`   // until the sender is told that it has failed; 0: 120h
	SmartHost string            `toml:"smart_host"` // "host:port" that takes what senders are told; empty: the MX hosts of their domains
}

func (c *QueueConfig) schedule() processing.Schedule {
	m := time.Minute
	s := processing.Schedule{Lifetime: time.Duration(c.Lifetime), Delays: []time.Duration{m, 2 * m, 5 * m, 10 * m, 20 * m, 40 * m, 60 * m}}
	if len(c.Retry) > 0 {
		s.Delays = nil
	}
	for _, d := range c.Retry {
		s.Delays = append(s.Delays, time.Duration(d))
	}
	return s
}

func (c *QueueConfig) routes() (processing.Rules, error) {
	if c.SmartHost == "" {
		return nil, nil
	}
	hosts, err := config.Hosts(c.SmartHost)
	return processing.Rules{{Route: sender.Route{Hosts: hosts}}}, err
}

func (c *QueueConfig) validate() error {
	for _, d := range c.Retry {
		if d <= 0 {
			return errors.New("retry holds a time that does not pass")
		}
	}
	if c.Lifetime < 0 {
		return errors.New("lifetime is over before it begins")
	}
	if _, err := c.routes(); err != nil {
		return fmt.Errorf("smart_host: %w", err)
	}
	return nil
}

// validateQueues refuses queues that could lose mail, or mix what does not
// belong together.
func (c *Config) validateQueues() error {
	if err := c.Queue.validate(); err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	names := make(map[string]bool)
	for _, s := range c.Services {
		switch {
		case s.Queue == "":
			continue
		case s.Protocol != proxy.SMTP.String():
			return fmt.Errorf("service %s: queue is for smtp, where one answer stands for all recipients", s.Protocol)
		case !filepath.IsLocal(s.Queue) || filepath.Base(s.Queue) != s.Queue || s.Queue == ".":
			return fmt.Errorf("queue is %q, not the name of a directory", s.Queue)
		case names[s.Queue]:
			return fmt.Errorf("two services have the queue %q: each has its own user map", s.Queue)
		case len(c.Domains) == 0:
			return errors.New("a queue needs domains: mail for others is what senders are told")
		case c.State == defaultState():
			return errors.New("a queue needs state: a directory that survives, as the default does not")
		}
		names[s.Queue] = true
	}
	return nil
}

// keeper keeps the mail that a service has accepted and its back ends have not
// taken yet, and sends it when they are there.
type keeper struct {
	*frontend
	router *smtp.Router
	dir    string
	opened chan struct{} // closed when the router has its queue
}

func (d *door) keeper() *keeper {
	return &keeper{frontend: d.frontend, router: d.router, dir: filepath.Join(d.config.State, "queue", d.Queue), opened: make(chan struct{})}
}

// run is a service: it works the queue off until ctx ends.
func (k *keeper) run(ctx context.Context, ready func()) error {
	dir, err := k.lock(ctx, ready)
	if err != nil {
		return err
	}
	defer dir.Close()
	store, err := storagelocal.Open(dir.File("mail"), storagelocal.Options{})
	if err != nil {
		return err
	}
	q, err := queuelocal.New(store, queuelocal.Options{})
	if err != nil {
		return errors.Join(err, store.Close())
	}
	flow, err := k.flow(store, q)
	if err == nil {
		k.router.Queue = q
		close(k.opened)
		ready()
		err = flow.Run(ctx)
	}
	return errors.Join(err, q.Close(), store.Close())
}

// lock takes the queue's directory. A predecessor holds it until its sessions
// have ended, and ends them when this process is ready.
func (k *keeper) lock(ctx context.Context, ready func()) (*datadir.Dir, error) {
	dir, err := datadir.Lock(k.dir)
	if !errors.Is(err, datadir.ErrInUse) || !k.succeeds {
		return dir, err
	}
	ready()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for errors.Is(err, datadir.ErrInUse) {
		select {
		case <-tick.C:
			dir, err = datadir.Lock(k.dir)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return dir, err
}

// flow sends what is in the queue by the router, which knows where everyone
// lives: nobody lives here. What is down the router knows too, for each back end;
// no other mail of a domain waits because of one.
func (k *keeper) flow(store *storagelocal.Store, q queue.Queue) (*processing.Processor, error) {
	const atOnce = 20
	routes, err := k.config.Queue.routes()
	if err != nil {
		return nil, err
	}
	k.router.Onward = sender.New(sender.Options{Hostname: k.config.Hostname})
	return processing.New(processing.Options{
		Hostname: k.config.Hostname, Directory: directory.Chain(), Store: store, Queue: q, Sender: k.router, Router: routes,
		Schedule: k.config.Queue.schedule(), Concurrency: atOnce, PerDestination: atOnce, Cooling: -1,
		Drain: time.Duration(k.config.Drain),
	})
}

// hooks keep clients waiting for the greeting until there is a queue.
func (k *keeper) hooks() smtp.Hooks {
	return smtp.Hooks{Connect: func(ctx context.Context, _ *smtp.Session) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		select {
		case <-k.opened:
			return nil
		case <-ctx.Done():
			return mail.Errorf(421, [3]int{4, 3, 2}, "The queue is not open yet, please try again later")
		}
	}}
}
