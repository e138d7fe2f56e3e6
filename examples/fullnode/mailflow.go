package main

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/posthouse-mail/posthouse/examples/internal/config"
	"github.com/posthouse-mail/posthouse/processing"
	"github.com/posthouse-mail/posthouse/smtp/sender"
)

// newProcessor composes the mail flow: who may send where, into which
// mailboxes, and how the rest goes out.
func (n *node) newProcessor() (*processing.Processor, error) {
	out := sender.Options{Hostname: n.config.Hostname}
	if n.config.Relay.PrivateTargets {
		out.AllowPrivate = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	}
	for _, address := range n.config.SMTP.Listen {
		if own, err := netip.ParseAddrPort(address); err == nil {
			out.Own = append(out.Own, own)
		}
	}
	rules, err := n.routes()
	if err != nil {
		return nil, err
	}
	return processing.New(processing.Options{
		Hostname:  n.config.Hostname,
		Directory: n.resolver,
		Store:     n.store,
		Queue:     n.queue,
		Sender:    sender.New(out),
		Router:    rules,
		Trusted:   n.config.Relay.TrustedNetworks,
		Drain:     time.Duration(n.config.Drain),
	})
}

// routes sends mail for users of other back ends to the front ends, and
// everything else to the smart host, if there is one.
func (n *node) routes() (processing.Rules, error) {
	rules, err := n.config.Routes(n.config.sharedDomains())
	if err != nil || n.config.Relay.SmartHost == "" {
		return rules, err
	}
	hosts, err := config.Hosts(n.config.Relay.SmartHost)
	if err != nil {
		return nil, fmt.Errorf("relay.smart_host: %w", err)
	}
	return append(rules, processing.Rule{Route: sender.Route{Hosts: hosts}}), nil
}
