package proxy

import (
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/posthouse-mail/posthouse/mapping"
)

// choice says whom a request is about. What is empty fits all.
type choice struct {
	User     string `json:"user"`
	Host     string `json:"host"`
	Protocol string `json:"protocol"`
}

// fits returns what a Session must be. The user is named as he was mapped.
func (c choice) fits() (func(Session) bool, error) {
	user := ""
	if c.User != "" {
		name, ok := mapping.NormalName(c.User)
		if !ok {
			return nil, fmt.Errorf("%w: %.40q is nobody's name", errBadRequest, c.User)
		}
		user = name
	}
	if c.Protocol != "" && !isProtocol(c.Protocol) {
		return nil, fmt.Errorf("%w: protocol %.40q", errBadRequest, c.Protocol)
	}
	host := normalHost(c.Host)
	return func(s Session) bool {
		return (user == "" || s.User == user) && (host == "" || s.Host == host) && (c.Protocol == "" || s.Protocol.String() == c.Protocol)
	}, nil
}

func isProtocol(name string) bool {
	for _, p := range protocols {
		if p.name == name {
			return true
		}
	}
	return false
}

// shownSession is a session in JSON.
type shownSession struct {
	ID       string     `json:"id"`
	User     string     `json:"user"`
	Protocol string     `json:"protocol"`
	Host     string     `json:"host"`
	Remote   netip.Addr `json:"remote"`
	Since    time.Time  `json:"since"`
}

func (c *Control) listSessions(r *http.Request) (any, error) {
	q := r.URL.Query()
	fits, err := choice{q.Get("user"), q.Get("host"), q.Get("protocol")}.fits()
	if err != nil {
		return nil, err
	}
	all := []shownSession{}
	for s := range c.Front.Sessions.List() {
		if fits(s) {
			all = append(all, shownSession{s.ID, s.User, s.Protocol.String(), s.Host, s.Remote, s.Since})
		}
	}
	return all, nil
}

func (c *Control) kick(r *http.Request) (any, error) {
	var asked struct {
		choice
		All  bool `json:"all"`
		Over span `json:"over"`
	}
	if err := read(r, &asked); err != nil {
		return nil, err
	}
	if asked.choice == (choice{}) != asked.All {
		return nil, fmt.Errorf("%w: kick whom? name a user, a host or a protocol, or \"all\": true alone", errBadRequest)
	}
	fits, err := asked.fits()
	if err != nil {
		return nil, err
	}
	n, err := c.Front.Sessions.Kick(r.Context(), fits, time.Duration(asked.Over))
	if err != nil {
		return nil, fmt.Errorf("not all of %d sessions have ended: %w", n, err)
	}
	return map[string]int{"sessions": n}, nil
}

func (c *Control) listDelays(*http.Request) (any, error) { return c.Front.Sessions.Delays(), nil }

func (c *Control) delay(r *http.Request) (any, error) {
	var asked struct {
		For   span      `json:"for"`
		Until time.Time `json:"until"`
	}
	if err := read(r, &asked); err != nil {
		return nil, err
	}
	if (asked.For == 0) == asked.Until.IsZero() {
		return nil, fmt.Errorf("%w: until when? give \"for\" or \"until\"", errBadRequest)
	}
	if asked.For > 0 {
		asked.Until = time.Now().Add(time.Duration(asked.For))
	}
	return c.setDelay(r, asked.Until)
}

func (c *Control) endDelay(r *http.Request) (any, error) { return c.setDelay(r, time.Time{}) }

func (c *Control) setDelay(r *http.Request, until time.Time) (any, error) {
	name, ok := mapping.NormalName(r.PathValue("user"))
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: that is nobody's name", errBadRequest)
	case c.Front.Sessions == nil:
		return nil, fmt.Errorf("list of sessions: %w", errNotHere)
	}
	c.Front.Sessions.Delay(name, until)
	return map[string]time.Time{name: until}, nil
}
