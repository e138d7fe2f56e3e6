package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/processing"
	"github.com/posthouse-mail/posthouse/smtp/sender"
)

// Place says which of several back ends that share a directory this one is.
type Place struct {
	Host    string   `toml:"host"`       // how the directory names this back end; whoever lives at another host, or at none, is reached by way of forward_to. Empty: all live here
	Forward []string `toml:"forward_to"` // "host:port" each, SMTP of the front ends, which know where everyone lives; tried in order. Empty: by MX, as mail for others
}

// Here is the shared directory as this back end sees it: to it, who lives at
// another one is a foreigner.
func (p *Place) Here(shared directory.Directory) directory.Directory {
	return directory.Here(shared, p.is)
}

// is reports whether a host of the directory, with whatever else of a route
// stands there, is this back end.
func (p *Place) is(host string) bool {
	if p.Host == "" || p.Host == host {
		return true
	}
	route, err := mapping.ParseRoute(host)
	return err == nil && strings.EqualFold(route.Host, p.Host)
}

// Routes leads mail for the domains of the shared directory to the front ends.
func (p *Place) Routes(domains []string) (processing.Rules, error) {
	if len(p.Forward) == 0 || len(domains) == 0 {
		return nil, nil
	}
	hosts, err := Hosts(p.Forward...)
	if err != nil {
		return nil, fmt.Errorf("forward_to: %w", err)
	}
	return processing.Rules{{To: domains, Route: sender.Route{Hosts: hosts}}}, nil
}

// Validate says what is wrong, given the domains of the shared directory.
func (p *Place) Validate(domains []string) error {
	if _, err := Hosts(p.Forward...); err != nil {
		return fmt.Errorf("forward_to: %w", err)
	}
	switch {
	case p.Host != "" && len(domains) == 0:
		return errors.New("host is for back ends that share a directory: no [ldap] has domains")
	case p.Host == "" && len(p.Forward) > 0:
		return errors.New("forward_to needs host: which of the back ends is this?")
	}
	return nil
}
