package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/posthouse-mail/posthouse/listener"
)

// Config is the configuration file. Every key is optional; defaultConfig
// holds what stands without it.
type Config struct {
	Hostname      string     `toml:"hostname"`       // in greetings and trace headers
	Domain        string     `toml:"domain"`         // made on the first start
	PlaintextAuth string     `toml:"plaintext_auth"` // passwords without TLS: "loopback" or "never"
	LogLevel      slog.Level `toml:"log_level"`
	Drain         duration   `toml:"drain"` // how long sessions may go on after a stop

	// TrustedFrontEnds are the networks of front ends that may tell who their
	// clients are, e.g. "10.0.0.0/8". To them peer_max_connections does not
	// apply, but for where an allow rule has them.
	TrustedFrontEnds []netip.Prefix `toml:"trusted_front_ends"`

	TLS struct {
		Certificate string `toml:"certificate"` // PEM files; empty: self-signed, in the data directory
		Key         string `toml:"key"`
	} `toml:"tls"`

	Message struct {
		MaxSize int64 `toml:"max_size"` // octets
	} `toml:"message"`

	Relay struct {
		TrustedNetworks []netip.Prefix `toml:"trusted_networks"` // may relay without a login, e.g. "10.0.0.0/8"
		SmartHost       string         `toml:"smart_host"`       // "host:port": all outgoing mail goes there; empty: by MX
		PrivateTargets  bool           `toml:"private_targets"`  // allow MX hosts on loopback and private addresses
	} `toml:"relay"`

	Auth  AuthConfig              `toml:"auth"`
	LDAP  map[string]*LDAPConfig  `toml:"ldap"`  // directories, by names of the operator's choice
	OAuth map[string]*OAuthConfig `toml:"oauth"` // issuers of tokens, likewise

	Storage   StorageConfig           `toml:"storage"`
	Locations []LocationConfig        `toml:"location"`
	Domains   map[string]DomainConfig `toml:"domains"` // what is different for single ones

	SMTP       ServiceConfig `toml:"smtp"`
	Submission ServiceConfig `toml:"submission"`
	LMTP       ServiceConfig `toml:"lmtp"`
	IMAP       ServiceConfig `toml:"imap"`
	POP3       ServiceConfig `toml:"pop3"`
	HTTP       ServiceConfig `toml:"http"`
}

// ServiceConfig says where a service listens and who may connect.
type ServiceConfig struct {
	Listen    []string     `toml:"listen"`     // addresses for plain connections (with STARTTLS)
	ListenTLS []string     `toml:"listen_tls"` // addresses for TLS from the first octet
	Rules     []RuleConfig `toml:"rule"`
	Auth      []string     `toml:"auth"` // where logins are checked; empty: as auth.sources says

	MaxConnections         int      `toml:"max_connections"` // 0: no limit; so below
	MaxIntervalConnections int      `toml:"max_interval_connections"`
	Interval               duration `toml:"interval"`
	PeerConnections        int      `toml:"peer_max_connections"`
	PeerIntervalConns      int      `toml:"peer_max_interval_connections"`
	PeerInterval           duration `toml:"peer_interval"`
}

// RuleConfig is an allow or deny rule of a service.
type RuleConfig struct {
	Addresses listener.IPSet `toml:"addresses"` // "ip", "ip/bits", "ip/mask", "first-last", separated by commas
	Action    string         `toml:"action"`    // "allow" or "deny"
	Priority  int            `toml:"priority"`  // the lowest number decides
}

// duration is a time.Duration written as "30s" or "5m".
type duration time.Duration

func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = duration(v)
	return err
}

func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func defaultConfig() *Config {
	c := &Config{Domain: "example.test", PlaintextAuth: "loopback", Drain: duration(10 * time.Second)}
	if c.Hostname, _ = os.Hostname(); c.Hostname == "" {
		c.Hostname = "localhost"
	}
	c.Message.MaxSize = 50 << 20
	c.Auth.Sources = []string{fromAccounts}
	c.Storage = defaultStorage()
	c.SMTP = defaultService(1000, 100, "127.0.0.1:2525")
	c.Submission = defaultService(1000, 100, "127.0.0.1:2587", "127.0.0.1:2465")
	c.LMTP = defaultService(200, 0, "127.0.0.1:2524")
	c.IMAP = defaultService(8000, 500, "127.0.0.1:2143", "127.0.0.1:2993")
	c.POP3 = defaultService(1000, 100, "127.0.0.1:2110", "127.0.0.1:2995")
	c.HTTP = defaultService(200, 100, "127.0.0.1:2080")
	return c
}

// defaultService bounds simultaneous connections, in all and of one peer, and
// listens on an address and, where there is a second one, with TLS there.
func defaultService(connections, ofPeer int, addresses ...string) ServiceConfig {
	return ServiceConfig{MaxConnections: connections, PeerConnections: ofPeer, Listen: addresses[:1], ListenTLS: addresses[1:]}
}

// loadConfig reads a file over the defaults. A key that nothing knows is an
// error with its name.
func loadConfig(file string) (*Config, error) {
	c := defaultConfig()
	if file == "" {
		return c, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	meta, err := toml.Decode(string(text), c)
	if err == nil {
		err = c.loadDomains(string(text))
	}
	if parse, ok := errors.AsType[toml.ParseError](err); ok {
		return nil, fmt.Errorf("config %s, line %d: %s", file, parse.Position.Line, parse.Message)
	}
	if err != nil {
		return nil, fmt.Errorf("config %s: %w", file, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return nil, fmt.Errorf("config %s: unknown key %q", file, unknown[0].String())
	}
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("config %s: %w", file, err)
	}
	return c, nil
}

func (c *Config) validate() error {
	if c.PlaintextAuth != "loopback" && c.PlaintextAuth != "never" {
		return fmt.Errorf("plaintext_auth is %q, not \"loopback\" or \"never\"", c.PlaintextAuth)
	}
	if (c.TLS.Certificate == "") != (c.TLS.Key == "") {
		return errors.New("tls.certificate and tls.key go together")
	}
	for _, s := range c.services() {
		for _, r := range s.config.Rules {
			if r.Action != "allow" && r.Action != "deny" {
				return fmt.Errorf("%s: the action of a rule is %q, not \"allow\" or \"deny\"", s.name, r.Action)
			}
		}
	}
	if err := c.validateAuth(); err != nil {
		return err
	}
	if err := c.validateLocations(); err != nil {
		return err
	}
	return c.validateStorage()
}

type namedService struct {
	name   string
	config *ServiceConfig
}

func (c *Config) services() []namedService {
	return []namedService{
		{"lmtp", &c.LMTP}, {"imap", &c.IMAP}, {"pop3", &c.POP3},
		{"submission", &c.Submission}, {"smtp", &c.SMTP}, {"http", &c.HTTP},
	}
}

// write prints the configuration as a file that loadConfig reads, but for its
// secrets.
func (c *Config) write(out io.Writer) error {
	e := toml.NewEncoder(out)
	e.Indent = ""
	return e.Encode(c.withoutSecrets())
}

// hidden stands for a secret that is set.
const hidden = "(hidden)"

// withoutSecrets is a configuration to be shown.
func (c *Config) withoutSecrets() *Config {
	shown := *c
	shown.LDAP, shown.OAuth = map[string]*LDAPConfig{}, map[string]*OAuthConfig{}
	for name, l := range c.LDAP {
		own := *l
		if own.BindPassword != "" {
			own.BindPassword = hidden
		}
		shown.LDAP[name] = &own
	}
	for name, o := range c.OAuth {
		own := *o
		if own.ClientSecret != "" {
			own.ClientSecret = hidden
		}
		shown.OAuth[name] = &own
	}
	return &shown
}

// rules returns the listener rules of a service.
func (s *ServiceConfig) rules() []listener.Rule {
	var rules []listener.Rule
	for _, r := range s.Rules {
		rule := listener.Rule{Prefixes: r.Addresses, Priority: r.Priority}
		if strings.EqualFold(r.Action, "deny") {
			rule.Action = listener.Deny
		}
		rules = append(rules, rule)
	}
	return rules
}

func (s *ServiceConfig) limits() listener.Limits {
	return listener.Limits{
		Connections: s.MaxConnections, NewConnections: s.MaxIntervalConnections, Interval: time.Duration(s.Interval),
		PeerConnections: s.PeerConnections, PeerNew: s.PeerIntervalConns, PeerInterval: time.Duration(s.PeerInterval),
	}
}
