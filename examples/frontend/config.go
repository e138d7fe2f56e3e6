package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/posthouse-mail/posthouse/examples/internal/config"
	"github.com/posthouse-mail/posthouse/proxy"
)

// Config is the configuration file. Every key is optional, but somebody must
// say where users live.
type Config struct {
	Hostname      string          `toml:"hostname"`       // in greetings and trace headers
	PlaintextAuth string          `toml:"plaintext_auth"` // passwords without TLS: "loopback" or "never"
	LogLevel      slog.Level      `toml:"log_level"`
	Drain         config.Duration `toml:"drain"`   // how long sessions may go on after a stop
	Control       string          `toml:"control"` // loopback address of the control interface; "": there is none
	State         string          `toml:"state"`   // directory for messages that come in, for the certificate that is made where none is named, and for queues; but for those, nothing in it is missed

	// Domains are the cluster's; SMTP takes mail for users in these alone.
	// Empty: in all, so that whoever is not mapped decides.
	Domains []string `toml:"domains"`
	MaxSize int64    `toml:"max_size"` // of a message, in octets; no more than back ends take

	// Mechanisms that are offered with TLS and without; absent: PLAIN and LOGIN.
	// OAUTHBEARER and XOAUTH2 are passed on to back ends that take them.
	WithTLS    []string `toml:"mechanisms_with_tls"`
	WithoutTLS []string `toml:"mechanisms_without_tls"`

	TLS config.TLS `toml:"tls"`

	Default  string                  `toml:"default_route"` // where the users live of services that pick no map, "host" or "host,tls=none"
	Maps     map[string]*MapConfig   `toml:"map"`           // user maps, by names of the operator's choice
	LDAP     map[string]*config.LDAP `toml:"ldap"`          // directories, likewise
	HTTP     map[string]*HTTPConfig  `toml:"http"`          // servers that speak nginx's auth_http protocol, likewise
	Backend  BackendConfig           `toml:"backend"`
	Queue    QueueConfig             `toml:"queue"` // how mail is sent that waits in the queues of services
	Services []*ServiceConfig        `toml:"service"`
}

// ServiceConfig is a protocol that is served. There may be several of one
// protocol, each with its own listeners, map and limits.
type ServiceConfig struct {
	Protocol string `toml:"protocol"` // "imap", "pop3", "managesieve", "submission", "smtp" or "lmtp"
	config.Service
	Map         string `toml:"map"`          // a name under [map]; empty: all live at default_route
	BackendPort int    `toml:"backend_port"` // of back ends whose route names none; 0: the protocol's own
	Speak       string `toml:"speak"`        // of SMTP and LMTP: what back ends are spoken to in, "lmtp", which is the default, or "smtp"

	// Queue is the name, under state, of a queue of SMTP's: mail that a back end
	// does not take now is accepted, kept there and sent later. It needs domains,
	// and a state that survives. Empty: nothing is kept, and mail waits where it
	// comes from.
	Queue string `toml:"queue"`
}

// loadConfig reads a file over the defaults. users is a file map that takes the
// place of the default route.
func loadConfig(file, users string) (*Config, error) {
	c := &Config{
		PlaintextAuth: "loopback", Drain: config.Duration(30 * time.Second), MaxSize: 50 << 20,
		Control: "127.0.0.1:1081", State: defaultState(),
	}
	if c.Hostname, _ = os.Hostname(); c.Hostname == "" {
		c.Hostname = "localhost"
	}
	check := func(string) error {
		if len(c.Services) == 0 {
			c.Services = defaultServices()
		}
		if users != "" {
			c.use(users)
		}
		return c.validate()
	}
	if file == "" {
		return c, check("")
	}
	return c, config.Load(file, c, check)
}

// defaultState may be gone after a restart of the machine.
func defaultState() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("frontend-%d", os.Getuid()))
}

// defaultServices are on loopback, before back ends that listen where
// examples/backend and examples/fullnode do.
func defaultServices() []*ServiceConfig {
	return []*ServiceConfig{
		{Protocol: "imap", Service: config.NewService(20000, 500, "127.0.0.1:1143", "127.0.0.1:1993"), BackendPort: 2143},
		{Protocol: "pop3", Service: config.NewService(2000, 100, "127.0.0.1:1110", "127.0.0.1:1995"), BackendPort: 2110},
		{Protocol: "submission", Service: config.NewService(2000, 100, "127.0.0.1:1587", "127.0.0.1:1465"), BackendPort: 2587},
		{Protocol: "smtp", Service: config.NewService(2000, 100, "127.0.0.1:1025"), BackendPort: 2524},
	}
}

// use makes a file the map of the services that pick none.
func (c *Config) use(users string) {
	const name = "users"
	if c.Maps == nil {
		c.Maps = make(map[string]*MapConfig)
	}
	c.Maps[name] = &MapConfig{Sources: []string{fromFile + users}}
	for _, s := range c.Services {
		s.Map = cmp.Or(s.Map, name)
	}
}

func (c *Config) validate() error {
	if c.PlaintextAuth != "loopback" && c.PlaintextAuth != "never" {
		return fmt.Errorf("plaintext_auth is %q, not \"loopback\" or \"never\"", c.PlaintextAuth)
	}
	if err := c.TLS.Validate(); err != nil {
		return err
	}
	if err := c.validateControl(); err != nil {
		return err
	}
	for name, l := range c.LDAP {
		if err := l.Validate(); err != nil {
			return fmt.Errorf("ldap.%s: %w", name, err)
		}
	}
	for _, s := range c.Services {
		if err := c.validateService(s); err != nil {
			return fmt.Errorf("service %s: %w", s.Protocol, err)
		}
	}
	return c.validateQueues()
}

func (c *Config) validateService(s *ServiceConfig) error {
	if _, ok := protocolOf(s.Protocol); !ok {
		return errors.New("there is no such protocol")
	}
	if len(s.Listen)+len(s.ListenTLS) == 0 {
		return errors.New("it listens nowhere")
	}
	if s.Speak != "" && s.Speak != proxy.LMTP.String() && s.Speak != proxy.SMTP.String() {
		return fmt.Errorf("speak is %q, not \"lmtp\" or \"smtp\"", s.Speak)
	}
	if s.Map == "" && c.Default == "" {
		return errors.New("nobody says where users live: map, default_route, or the flag -map")
	}
	return s.Validate()
}

// protocolOf returns the protocol of a name.
func protocolOf(name string) (proxy.Protocol, bool) {
	for p := proxy.IMAP; p <= proxy.ManageSieve; p++ {
		if p.String() == name {
			return p, true
		}
	}
	return 0, false
}

// write prints the configuration as a file that loadConfig reads, but for its
// secrets.
func (c *Config) write(out io.Writer) error {
	shown := *c
	shown.LDAP = make(map[string]*config.LDAP)
	for name, l := range c.LDAP {
		shown.LDAP[name] = l.WithoutSecrets()
	}
	e := toml.NewEncoder(out)
	e.Indent = ""
	return e.Encode(&shown)
}
