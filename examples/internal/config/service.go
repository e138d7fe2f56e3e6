package config

import (
	"crypto/tls"
	"fmt"
	"strings"

	"github.com/posthouse-mail/posthouse/listener"
)

// Service says where a service listens and who may connect.
type Service struct {
	Listen    []string `toml:"listen"`     // addresses for plain connections (with STARTTLS)
	ListenTLS []string `toml:"listen_tls"` // addresses for TLS from the first octet
	Rules     []Rule   `toml:"rule"`
	Auth      []string `toml:"auth"` // where logins are checked; what none means is the program's affair
	ProxyProtocol

	Limits
}

// Rule is an allow or deny rule of a service. Where an allow rule has limits of
// its own, they hold in place of all those of the service: its totals are of
// everybody whom it lets in, and who comes by another way is not among them.
type Rule struct {
	Addresses listener.IPSet `toml:"addresses"` // "ip", "ip/bits", "ip/mask", "first-last", separated by commas
	Action    string         `toml:"action"`    // "allow" or "deny"
	Priority  int            `toml:"priority"`  // the lowest number decides
	Limits
}

// NewService bounds simultaneous connections, in all and of one peer, and
// listens on an address and, where there is a second one, with TLS there.
func NewService(connections, ofPeer int, addresses ...string) Service {
	return Service{Limits: Limits{MaxConnections: connections, PeerConnections: ofPeer}, Listen: addresses[:1], ListenTLS: addresses[1:]}
}

// Listeners returns what listens: the plain addresses, then those with TLS.
// Front ends are not bound by what bounds a peer.
func (s *Service) Listeners(secure *tls.Config, fronts FrontEnds) []listener.Config {
	rules := append(s.rules(), fronts.Rules(s.limits())...)
	var all []listener.Config
	for _, address := range s.Listen {
		all = append(all, listener.Config{Address: address, Service: rules, Limits: s.limits()})
	}
	for _, address := range s.ListenTLS {
		all = append(all, listener.Config{Address: address, Service: rules, Limits: s.limits(), TLS: secure})
	}
	for i := range all {
		s.ProxyProtocol.Apply(&all[i])
	}
	return all
}

// Validate says what is wrong with the rules, or with what is said of load
// balancers.
func (s *Service) Validate() error {
	if err := s.Limits.validate(); err != nil {
		return err
	}
	for _, r := range s.Rules {
		if r.Action != "allow" && r.Action != "deny" {
			return fmt.Errorf("the action of a rule is %q, not \"allow\" or \"deny\"", r.Action)
		}
		if err := r.validateLimits(); err != nil {
			return fmt.Errorf("rule: %w", err)
		}
	}
	return s.ProxyProtocol.Validate()
}

func (s *Service) rules() []listener.Rule {
	var rules []listener.Rule
	for _, r := range s.Rules {
		rule := listener.Rule{Prefixes: r.Addresses, Priority: r.Priority, Limits: r.limits()}
		if strings.EqualFold(r.Action, "deny") {
			rule.Action = listener.Deny
		}
		rules = append(rules, rule)
	}
	return rules
}
