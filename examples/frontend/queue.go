package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/posthouse-mail/posthouse/examples/internal/config"
	"github.com/posthouse-mail/posthouse/processing"
	"github.com/posthouse-mail/posthouse/proxy"
	"github.com/posthouse-mail/posthouse/smtp/sender"
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
