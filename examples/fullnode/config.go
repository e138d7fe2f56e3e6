package main

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/posthouse-mail/posthouse/examples/internal/config"
)

// Config is the configuration file. Every key is optional; defaultConfig
// holds what stands without it.
type Config struct {
	Hostname      string          `toml:"hostname"`       // in greetings and trace headers
	Domain        string          `toml:"domain"`         // made on the first start
	PlaintextAuth string          `toml:"plaintext_auth"` // passwords without TLS: "loopback" or "never"
	LogLevel      slog.Level      `toml:"log_level"`
	Drain         config.Duration `toml:"drain"` // how long sessions may go on after a stop

	// TrustedFrontEnds make the node a back end: their word on who their clients
	// are is taken, by XCLIENT and IMAP's ID. To them peer_max_connections does
	// not apply, but for where an allow rule has them. One that tells nothing is
	// nobody: it may not relay, even from relay.trusted_networks.
	TrustedFrontEnds config.FrontEnds `toml:"trusted_front_ends"`

	config.Place // one back end of several, whose users LDAP directories know
	// FrontEndUser is the name that they log in with for users whom they have
	// checked, their master_user; empty: there is none. It can do nothing for
	// itself, and is no postmaster.
	FrontEndUser         string `toml:"front_end_user"`
	FrontEndPasswordFile string `toml:"front_end_password_file"` // its first line

	TLS config.TLS `toml:"tls"`

	Message struct {
		MaxSize int64 `toml:"max_size"` // octets
	} `toml:"message"`

	Relay struct {
		TrustedNetworks []netip.Prefix `toml:"trusted_networks"` // may relay without a login, e.g. "10.0.0.0/8"
		SmartHost       string         `toml:"smart_host"`       // "host:port": all outgoing mail goes there; empty: by MX
		PrivateTargets  bool           `toml:"private_targets"`  // allow MX hosts on loopback and private addresses
	} `toml:"relay"`

	Auth  AuthConfig              `toml:"auth"`
	LDAP  map[string]*config.LDAP `toml:"ldap"`  // directories, by names of the operator's choice
	OAuth map[string]*OAuthConfig `toml:"oauth"` // issuers of tokens, likewise

	Storage   StorageConfig           `toml:"storage"`
	Locations []LocationConfig        `toml:"location"`
	Domains   map[string]DomainConfig `toml:"domains"` // what is different for single ones

	SMTP       config.Service `toml:"smtp"`
	Submission config.Service `toml:"submission"`
	LMTP       config.Service `toml:"lmtp"`
	IMAP       config.Service `toml:"imap"`
	POP3       config.Service `toml:"pop3"`
	HTTP       config.Service `toml:"http"`
}

func defaultConfig() *Config {
	c := &Config{Domain: "example.test", PlaintextAuth: "loopback", Drain: config.Duration(10 * time.Second)}
	if c.Hostname, _ = os.Hostname(); c.Hostname == "" {
		c.Hostname = "localhost"
	}
	c.Message.MaxSize = 50 << 20
	c.Auth.Sources = []string{fromAccounts}
	c.Storage = defaultStorage()
	c.SMTP = config.NewService(1000, 100, "127.0.0.1:2525")
	c.Submission = config.NewService(1000, 100, "127.0.0.1:2587", "127.0.0.1:2465")
	c.LMTP = config.NewService(200, 0, "127.0.0.1:2524")
	c.IMAP = config.NewService(8000, 500, "127.0.0.1:2143", "127.0.0.1:2993")
	c.POP3 = config.NewService(1000, 100, "127.0.0.1:2110", "127.0.0.1:2995")
	c.HTTP = config.NewService(200, 100, "127.0.0.1:2080")
	return c
}

// loadConfig reads a file over the defaults. A key that nothing knows is an
// error with its name.
func loadConfig(file string) (*Config, error) {
	c := defaultConfig()
	if file == "" {
		return c, nil
	}
	check := func(text string) error {
		if err := c.loadDomains(text); err != nil {
			return err
		}
		return c.validate()
	}
	if err := config.Load(file, c, check); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Config) validate() error {
	if c.PlaintextAuth != "loopback" && c.PlaintextAuth != "never" {
		return fmt.Errorf("plaintext_auth is %q, not \"loopback\" or \"never\"", c.PlaintextAuth)
	}
	if err := c.TLS.Validate(); err != nil {
		return err
	}
	for _, s := range c.services() {
		if err := s.config.Validate(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	if err := c.validateAuth(); err != nil {
		return err
	}
	if err := c.Place.Validate(c.sharedDomains()); err != nil {
		return err
	}
	if err := c.validateLocations(); err != nil {
		return err
	}
	return c.validateStorage()
}

type namedService struct {
	name   string
	config *config.Service
}

func (c *Config) services() []namedService {
	return []namedService{
		{"lmtp", &c.LMTP}, {"imap", &c.IMAP}, {"pop3", &c.POP3},
		{"submission", &c.Submission}, {"smtp", &c.SMTP}, {"http", &c.HTTP},
	}
}

// manyAt returns what knows the addresses at which there are many users: those of
// front ends, and of load balancers.
func (c *Config) manyAt() func(netip.Addr) bool {
	var services []config.ProxyProtocol
	for _, s := range c.services() {
		services = append(services, s.config.ProxyProtocol)
	}
	balancers := config.Balancers(services...)
	return func(a netip.Addr) bool { return c.TrustedFrontEnds.Contains(a) || balancers(a) }
}

// write prints the configuration as a file that loadConfig reads, but for its
// secrets.
func (c *Config) write(out io.Writer) error {
	e := toml.NewEncoder(out)
	e.Indent = ""
	return e.Encode(c.withoutSecrets())
}

// withoutSecrets is a configuration to be shown.
func (c *Config) withoutSecrets() *Config {
	shown := *c
	shown.LDAP, shown.OAuth = maps.Clone(c.LDAP), maps.Clone(c.OAuth)
	for name, l := range c.LDAP {
		shown.LDAP[name] = l.WithoutSecrets()
	}
	for name, o := range c.OAuth {
		own := *o
		if own.ClientSecret != "" {
			own.ClientSecret = config.Hidden
		}
		shown.OAuth[name] = &own
	}
	return &shown
}
