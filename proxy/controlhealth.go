package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/posthouse-mail/posthouse/mapping"
)

// The map is asked by one health check at a time, for so long, and not again
// for a moment.
const (
	probeTimeout = 5 * time.Second
	probeFor     = time.Second
)

// probe is what the map last answered.
type probe struct {
	mu  sync.Mutex
	at  time.Time
	err error
}

// ask asks the map itself, not what is remembered of it.
func (p *probe) ask(m mapping.Mapper, user string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.at.IsZero() && time.Since(p.at) < probeFor {
		return p.err
	}
	if cache, ok := mapping.As[*mapping.Cache](m); ok {
		m = cache.Unwrap()
	}
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	_, err := m.Map(ctx, user)
	if errors.Is(err, mapping.ErrNotMapped) {
		err = nil
	}
	p.at, p.err = time.Now(), err
	return err
}

// shownHealth is the answer to a health check.
type shownHealth struct {
	Up       bool        `json:"up"` // somebody can be served
	Draining bool        `json:"draining"`
	Map      string      `json:"map"` // "up", or why it does not answer
	Backends []shownHost `json:"backends"`
}

type shownHost struct {
	Address string    `json:"address"`
	State   string    `json:"state"`
	Since   time.Time `json:"since"`
	Reason  string    `json:"reason,omitempty"`
}

// check finds out how the front end is. It is up while it accepts and the map
// answers; a back end that is down is told, but all front ends have the same,
// and taking them out helps nobody.
func (c *Control) check() shownHealth {
	h := shownHealth{Draining: c.draining.Load(), Map: "up", Backends: []shownHost{}}
	err := c.probe.ask(c.Front.Mapper, cmp.Or(c.Probe, "health-check@invalid"))
	if err != nil {
		h.Map = err.Error()
	}
	h.Up = err == nil && !h.Draining
	if c.Front.Health != nil {
		for _, b := range c.Front.Health.List() {
			h.Backends = append(h.Backends, shownHost{b.Address, b.State.String(), b.Since, b.Reason})
		}
	}
	return h
}

func (h *shownHealth) status() int {
	if h.Up {
		return http.StatusOK
	}
	return http.StatusServiceUnavailable
}

func (c *Control) showHealth(w http.ResponseWriter, _ *http.Request) {
	h := c.check()
	answer(w, h.status(), h)
}

func (c *Control) ping(w http.ResponseWriter, _ *http.Request) {
	h := c.check()
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(h.status())
	if h.Up {
		_, _ = io.WriteString(w, "PONG\n")
	}
}

// drain goes on when whoever asked for it has gone.
func (c *Control) drain(r *http.Request) (any, error) {
	asked := struct {
		Deadline span `json:"deadline"`
	}{span(30 * time.Second)}
	if err := read(r, &asked); err != nil {
		return nil, err
	}
	if c.Drain == nil {
		return nil, fmt.Errorf("drain: %w", errNotHere)
	}
	c.draining.Store(true)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), time.Duration(asked.Deadline))
	defer cancel()
	if err := c.Drain(ctx); err != nil {
		return nil, fmt.Errorf("drain: %w", err)
	}
	return struct{}{}, nil
}
